// Without zod, which costs a process 8 MB: the schemas themselves are in `@lockstep/contract/schemas`.
export type * from './api/access-log.ts';
export type * from './api/attempt.ts';
export type * from './api/audit.ts';
export type * from './api/certificate.ts';
export type * from './api/challenge.ts';
export * from './api/create-problem.ts';
export * from './api/default-edge-settings.ts';
export type * from './api/dns-provider.ts';
export * from './api/dns-purposes.ts';
export type * from './api/dns-requirement.ts';
export type * from './api/edge-settings.ts';
export type * from './api/edge-tls.ts';
export type * from './api/event.ts';
export type * from './api/fleet.ts';
export type * from './api/health.ts';
export type * from './api/issuer.ts';
export * from './api/max-body-bytes.ts';
export type * from './api/node.ts';
export type * from './api/ownership.ts';
export type * from './api/page.ts';
export type * from './api/problem.ts';
export type * from './api/renewal-reason.ts';
export * from './api/revocation-reasons.ts';
export type { RouteBalance } from './api/route/balance.ts';
export type { RouteDefaults } from './api/route/defaults.ts';
export type { RouteHealth } from './api/route/health.ts';
export type { RouteRetries } from './api/route/retries.ts';
export type * from './api/route.ts';
export type * from './api/settings.ts';
export type * from './api/token.ts';
export type * from './api/traffic.ts';
export type * from './api/upstream.ts';
export type * from './api/webhook.ts';
export * from './edge/durations.ts';
export * from './edge/heartbeat.ts';
export * from './edge/hint.ts';
export type * from './edge/node-report.ts';
export * from './edge/traffic.ts';
export type * from './edge/upstream-state.ts';
export type * from './records/account.ts';
export type * from './records/attempts.ts';
export type * from './records/authority.ts';
export type * from './records/bucket.ts';
export type * from './records/caddy-route.ts';
export { type CanaryRecord, canaryId } from './records/canary.ts';
export { broughtIssuer, type CertificateRecord } from './records/certificate.ts';
export type * from './records/challenge.ts';
export type * from './records/commit-origin.ts';
export type * from './records/confirmation.ts';
export type * from './records/drain.ts';
export { edgeCanaryId } from './records/edge-canary.ts';
export {
  type EdgeOnDemand,
  type EdgeSettingsRecord,
  edgeSettingsId,
  edgeSettingsOf,
} from './records/edge-settings.ts';
export * from './records/event.ts';
export { eventsOfChange, tellsOf } from './records/events-of-change.ts';
export { healthKeyOf } from './records/health-key.ts';
export type * from './records/idempotency.ts';
export type * from './records/issuer.ts';
export * from './records/journal.ts';
export type * from './records/keyring.ts';
export type { Audience } from './records/kind-module.ts';
export {
  audienceOf,
  edgeKinds,
  type Kind,
  kinds,
  type RecordValues,
  type SealedKind,
} from './records/kinds.ts';
export {
  idleOrder,
  nothingUnderWay,
  type OrderLane,
  type OrderRecord,
  type OrderStep,
  orderLanes,
  placedLanes,
  type Setback,
  type TxtChallenge,
} from './records/order.ts';
export {
  type OwnershipProof,
  type OwnershipRecord,
  ownershipId,
  ownershipLanes,
} from './records/ownership.ts';
export { type OwnershipSecretRecord, ownershipSecretId } from './records/ownership-secret.ts';
export * from './records/record.ts';
export * from './records/record-fault.ts';
export { broughtUpToDate, isReadable, withVersion } from './records/record-version.ts';
export { type RotationRecord, rotationId } from './records/rotation.ts';
export type * from './records/route.ts';
export { claimsOfRoute, readRouteClaim, waitingClaimPrefix } from './records/route-claims.ts';
export { withDefaults } from './records/route-defaults.ts';
export * from './records/route-secrets.ts';
export * from './records/sealed-fields.ts';
export type * from './records/seen-dns.ts';
export {
  mostTicketKeys,
  type SessionTicketsRecord,
  sessionTicketsId,
  ticketKeyBytes,
} from './records/session-tickets.ts';
export { type SettingsRecord, settingsId } from './records/settings.ts';
export type * from './records/staple.ts';
export type * from './records/token.ts';
export type * from './records/token-use.ts';
export type * from './records/told.ts';
export * from './records/unreadable-record.ts';
export type * from './records/webhook.ts';
export * from './shared/address.ts';
export * from './shared/address-ranges.ts';
export * from './shared/admin-hosts.ts';
export * from './shared/app-error.ts';
export * from './shared/authority.ts';
export * from './shared/boundary.ts';
export * from './shared/client-key.ts';
export * from './shared/error-code.ts';
export * from './shared/escape-html.ts';
export * from './shared/event-types.ts';
export * from './shared/forwarded-methods.ts';
export * from './shared/give-back-memory.ts';
export * from './shared/host-address.ts';
export * from './shared/host-suffix.ts';
export * from './shared/hostname.ts';
export * from './shared/log-destination.ts';
export * from './shared/node-id.ts';
export * from './shared/own-fields.ts';
export * from './shared/password-hash.ts';
export * from './shared/placeholders.ts';
export * from './shared/request-path.ts';
export * from './shared/request-target.ts';
export * from './shared/retry-after.ts';
export * from './shared/revision.ts';
export * from './shared/scopes.ts';
export * from './shared/served-hosts.ts';
export * from './shared/speaks-another.ts';
export * from './shared/token-bucket.ts';
