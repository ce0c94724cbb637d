/** Every stable error code of Lockstep, with what it means. `docs/api.md` lists the same table. */
export const errorCodes = {
  invalid_request: 'A field, parameter or header is not acceptable; `errors` points at each.',
  unauthorized: 'The bearer token is missing or wrong.',
  not_found: 'Nothing has this id or address.',
  host_taken: 'Another route already serves this host and path.',
  id_taken: 'Another route already has this id.',
  in_use: 'Something else still names the record; `detail` says what.',
  wrong_state: 'The record is not in a state, or not of a sort, that this can be done to.',
  revision_conflict: 'The record changed since it was read.',
  payload_too_large: 'The body is over 1 MiB.',
  unsupported_media_type: 'The body is not of a type this address takes.',
  commit_too_large: 'More records or bytes than one commit may carry.',
  lease_lost: 'The lease under which this was written has gone to another.',
  node_id_taken: 'Another live process runs under this node id.',
  store_unavailable: 'The store cannot be reached.',
  store_lost: 'The store no longer holds the history that was there before.',
  wrong_secret_key: 'A sealed value was made with another secret key, or was altered.',
  bad_certificate: 'A certificate, its chain or its key does not fit.',
  issuer_failed: 'The issuer refused or failed.',
  bad_configuration: 'A setting of this process is missing or not usable.',
  no_route: 'No route serves this host and path.',
  upstream_unreachable: 'The upstream cannot be reached, or broke off before it answered.',
  upstream_timeout: 'The upstream did not answer in time.',
  shutting_down: 'This process is about to stop.',
  internal: 'Something unexpected failed; the log says what.',
} as const;

export type ErrorCode = keyof typeof errorCodes;
