import { addressOfHost, type ChallengeType, type OrderRecord } from '@lockstep/contract';

export interface ChallengeChoice {
  order: Pick<OrderRecord, 'host' | 'unproven' | 'workedBefore'>;
  /** What the host's route asks for. */
  route: ChallengeType | null;
  /** A CDN, which ends TLS itself, stands between the CA and the edges. */
  proxied?: boolean | undefined;
  /** What the issuer is set to. */
  issuer: readonly ChallengeType[] | null;
  /** There is a DNS provider. */
  canDns: boolean;
}

/**
 * The types of challenge that may prove a host, the one to use first at the front. What worked before comes first; after it failed to prove the name, each in
 * turn. Only the DNS proves a wildcard. dns-01 is for hosts whose DNS is ours to change, so it is never the default of another; dns-persist-01 takes a record
 * of the owner's, so it is asked for by name.
 */
export function challengeTypes({ order, route, proxied, issuer, canDns }: ChallengeChoice): ChallengeType[] {
  const wildcard = order.host.startsWith('*.');
  const address = addressOfHost(order.host) !== null;
  const wanted: readonly ChallengeType[] =
    route !== null ? [route] : (issuer ?? (wildcard ? ['dns-01'] : ['http-01', 'tls-alpn-01']));
  const usable = wanted.filter((type) => {
    // The DNS has no say about an address (RFC 8738, section 7).
    if (type === 'dns-persist-01') return !address;
    if (type === 'dns-01') return canDns && !address;
    return !wildcard && !(proxied === true && type === 'tls-alpn-01');
  });
  const { workedBefore, unproven } = order;
  const first =
    workedBefore !== null && usable.includes(workedBefore)
      ? [workedBefore, ...usable.filter((type) => type !== workedBefore)]
      : usable;
  const turn = first.length === 0 ? 0 : unproven % first.length;
  return [...first.slice(turn), ...first.slice(0, turn)];
}
