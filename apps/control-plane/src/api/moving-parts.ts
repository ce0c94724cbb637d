import type { Certificate, Issuer, Node, Route, Token, Webhook } from '@lockstep/contract';

/*
 * What an answer says beside what is stored of its resource, and moves without the revision; null while all is well. A tag has both, so that
 * whoever asks with If-None-Match is never told "as before" of a state that has changed.
 */

/** Null while every expected edge serves it and nothing is amiss, however many edges those are, and until whenever its certificates last. */
export function movingOfRoute({ status }: Route): object | null {
  const { state, reason, queue, certificates, dnsRequirements, nodes, unhealthy } = status;
  const atRest =
    state === 'live' &&
    [reason, queue, unhealthy].every((one) => one === undefined) &&
    certificates.every(({ lastError, nextAttemptAt }) => lastError === null && nextAttemptAt === null) &&
    dnsRequirements.every(({ ok }) => ok) &&
    nodes.live === nodes.expected &&
    nodes.behind.length === 0;
  return atRest ? null : status;
}

export function movingOfCertificate(certificate: Certificate): object | null {
  const { state, lastError, nextAttemptAt, renewal, renewalWindow, renewAt, revokedAt, expiresSoon } =
    certificate;
  const dates = [lastError, nextAttemptAt, renewal, renewalWindow, renewAt, revokedAt];
  return state === 'live' && !expiresSoon && dates.every((one) => one === null)
    ? null
    : [state, expiresSoon, ...dates];
}

export function movingOfIssuer({ accountUrl }: Issuer): object | null {
  return accountUrl === null ? null : [accountUrl];
}

/** All that it says but what each of its reports brings: when it came, the skew of its clock, and for how long it has been behind. */
export function movingOfNode({
  lastSeenAt: _,
  clockSkewMs: _skew,
  configurationAgeMs,
  ...node
}: Node): object {
  return [node, configurationAgeMs === null ? null : configurationAgeMs > 0];
}

export function movingOfToken({ lastUsedAt }: Pick<Token, 'lastUsedAt'>): object | null {
  return lastUsedAt === null ? null : [lastUsedAt];
}

export function movingOfWebhook({ enabled, status }: Pick<Webhook, 'enabled' | 'status'>): object | null {
  const { failingSince, waitingSubjects, nextAttemptAt, gapAt } = status;
  const dates = [failingSince, nextAttemptAt, gapAt];
  const atRest = enabled && waitingSubjects === 0 && dates.every((one) => one === null);
  return atRest ? null : [enabled, status];
}
