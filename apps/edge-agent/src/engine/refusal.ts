import { isAppError, type Refusal } from '@lockstep/contract';

/** Why a record is not put to use, in a sentence for an operator. Errors of OpenSSL name no key material. */
export function refusalOf({ kind, id, revision }: Omit<Refusal, 'reason'>, error: unknown): Refusal {
  const { reason, message } = error as Error & { reason?: string };
  return {
    kind,
    id,
    revision,
    reason: isAppError(error) ? message : `the certificate cannot be used: ${reason ?? message}`,
  };
}
