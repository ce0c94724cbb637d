import {
  type ChallengeRecord,
  type ChallengeType,
  type OrderRecord,
  recordKey,
  type TxtChallenge,
} from '@lockstep/contract';
import {
  type AcmeAuthorization,
  type AcmeChallenge,
  type AcmeClient,
  type AcmeOrder,
  createAlpnCertificate,
  dnsChallengeValue,
  type Sealer,
} from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import { DnsFailure } from '../../dns/dns-failure.ts';
import { persistName, tellPersist } from '../../dns/persist-record.ts';
import type { PersistRecords } from '../../dns/persist-records.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import { iso } from '../../time/iso.ts';
import { IssuerFailure, type StepResult } from '../issuer.ts';
import { explainAuthorization } from './explain-problem.ts';
import type { PersistSource } from './persist-facts.ts';
import { firstPollMs, pollWait } from './poll-wait.ts';
import type { TxtPublisher } from './txt-publisher.ts';

/** Before another look while no edge at all has the challenge. */
const nobodyAnswersMs = 5_000;
const longestNobodyAnswersMs = 600_000;
/** Between looks at name servers that do not have a record yet which resolvers have. */
const firstServersMs = 500;
const longestServersMs = 30_000;
const serversPatienceMs = 900_000;

export interface AuthorizerOptions {
  store: ConfigStore;
  fleet: Fleet;
  sealer: Sealer<'edges'>;
  /** For dns-persist-01: whom a record has to name, and which there are. */
  persist: Pick<PersistSource, 'of'>;
  records: PersistRecords;
  /** For dns-01; null where no provider is set up. Asked anew each time, since it may be changed. */
  publisher(): TxtPublisher | null;
  log: Logger;
  now: () => number;
}

/** Proves a name to a CA: places the challenge, waits until whoever the CA may ask can answer it, and only then tells the CA. */
export interface Authorizer {
  canDns(): boolean;
  advance(
    client: AcmeClient,
    id: string,
    order: OrderRecord,
    current: AcmeOrder,
    types: ChallengeType[],
    signal: AbortSignal,
  ): Promise<StepResult>;
  cleanUp(order: OrderRecord): Promise<void>;
}

export function createAuthorizer({
  store,
  fleet,
  sealer,
  persist,
  records,
  publisher,
  log,
  now,
}: AuthorizerOptions): Authorizer {
  async function place(
    client: AcmeClient,
    { host }: OrderRecord,
    { token, url }: AcmeChallenge,
    type: ChallengeType,
  ): Promise<StepResult> {
    const createdAt = iso(now());
    const placed: Partial<OrderRecord> = { step: 'placed', challengeUrl: url, challengeType: type };
    // It has no token, and what answers it stands in the DNS already.
    if (type === 'dns-persist-01')
      return { outcome: 'next', order: { ...placed, challengeId: null, txt: null } };
    const keyAuthorization = await client.keyAuthorization(token);
    if (type === 'dns-01') {
      const name = await needPublisher().nameFor(host);
      const txt: TxtChallenge = { name, value: dnsChallengeValue(keyAuthorization), since: createdAt };
      return { outcome: 'next', order: { ...placed, challengeId: null, txt } };
    }
    const record: ChallengeRecord = { type, host, token, keyAuthorization, createdAt };
    if (type === 'tls-alpn-01') {
      const { certificate, keyPem } = await createAlpnCertificate({ host, keyAuthorization, now: now() });
      record.certificate = certificate;
      record.sealedKey = sealer.seal(keyPem, recordKey('challenge', token));
    }
    return {
      outcome: 'next',
      order: { ...placed, challengeId: token, txt: null },
      changes: [{ op: 'put', kind: 'challenge', id: token, value: record }],
    };
  }

  function needPublisher(): TxtPublisher {
    const found = publisher();
    if (found !== null) return found;
    throw new IssuerFailure('dns-01 needs a DNS provider, and none is set up any more', { kind: 'refused' });
  }

  /** The first of the types that the CA offers. Of dns-persist-01, where its record will do: a validation without one would fail, and count. */
  async function choose(
    { host }: OrderRecord,
    authorization: AcmeAuthorization,
    types: ChallengeType[],
    signal: AbortSignal,
  ) {
    let lacking: string | null = null;
    for (const type of types) {
      const challenge = authorization.challenges.find((offered) => offered.type === type);
      if (challenge === undefined) continue;
      if (type !== 'dns-persist-01') return { challenge, type };
      const question = { host, ...(await persist.of(challenge, signal)) };
      const { judgement } = await asked(() => records.look(question));
      if (judgement.ok) return { challenge, type };
      lacking = tellPersist(question, judgement.fault);
    }
    if (lacking !== null) throw new IssuerFailure(lacking, { kind: 'unproven' });
    const offered = authorization.challenges.map(({ type }) => type).join(', ') || 'none';
    throw new IssuerFailure(
      `the CA offers none of the challenges that this host may use (${types.join(', ') || 'none'}); it offers ${offered}`,
      { kind: 'refused' },
    );
  }

  async function asked<T>(look: () => Promise<T>): Promise<T> {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof DnsFailure)) throw error;
      throw new IssuerFailure(error.message, { kind: 'hindered', cause: error });
    }
  }

  /** How long until each name server that the CA may ask has the record, of those that answer; null when all have it. */
  async function waitForServers(
    { host, orderedAt }: OrderRecord,
    challenge: AcmeChallenge,
    signal: AbortSignal,
  ): Promise<number | null> {
    const question = { host, ...(await persist.of(challenge, signal)) };
    const servers = await asked(() => records.lacking(question));
    if (servers.length === 0) return null;
    const waitedMs = orderedAt === null ? 0 : now() - Date.parse(orderedAt);
    if (waitedMs > serversPatienceMs)
      throw new IssuerFailure(
        `the resolvers have the TXT record at ${persistName(host)}, but these name servers do not: ${servers.join(', ')}`,
        { kind: 'unproven' },
      );
    return Math.min(longestServersMs, Math.max(firstServersMs, waitedMs / 4));
  }

  /** How long until whoever the CA may ask can answer; null when all can. */
  async function waitForAnswerers(
    id: string,
    order: OrderRecord,
    challenge: AcmeChallenge,
    signal: AbortSignal,
  ): Promise<number | null> {
    if (order.challengeType === 'dns-persist-01') return waitForServers(order, challenge, signal);
    if (order.txt !== null) return needPublisher().publish(order.host, order.txt);
    const placed = order.challengeId === null ? null : await store.get('challenge', order.challengeId);
    if (placed === null) throw new IssuerFailure('the challenge is gone', { kind: 'lost' });
    const behind = await fleet.applied(placed, signal);
    if (behind === null) {
      const waitedMs = order.orderedAt === null ? 0 : now() - Date.parse(order.orderedAt);
      return Math.min(longestNobodyAnswersMs, Math.max(nobodyAnswersMs, waitedMs / 10));
    }
    if (behind.length > 0)
      log.warn({ certificate: id, nodes: behind }, 'told the CA to validate although these nodes are behind');
    return null;
  }

  return {
    canDns: () => publisher() !== null,

    async advance(client, id, order, current, types, signal) {
      const authorization = await client.getAuthorization(authorizationOf(current), signal);
      if (authorization.status === 'valid')
        return {
          outcome: 'next',
          order: {},
          waitMs: pollWait(order, current.retryAfterMs, now(), firstPollMs),
        };
      if (authorization.status !== 'pending') throw explainAuthorization(authorization);

      const processing = authorization.challenges.find(({ status }) => status === 'processing');
      if (processing !== undefined || order.step === 'validating')
        return {
          outcome: 'next',
          order: { step: 'validating' },
          waitMs: pollWait(order, authorization.retryAfterMs, now()),
        };

      const placed = authorization.challenges.find(({ url }) => url === order.challengeUrl);
      if (order.step !== 'placed' || placed === undefined) {
        const { challenge, type } = await choose(order, authorization, types, signal);
        return place(client, order, challenge, type);
      }
      const waitMs = await waitForAnswerers(id, order, placed, signal);
      if (waitMs !== null) return { outcome: 'next', order: {}, waitMs };
      await client.completeChallenge(placed.url, signal);
      return { outcome: 'next', order: { step: 'validating' }, waitMs: firstPollMs };
    },

    async cleanUp(order) {
      if (order.txt !== null) await publisher()?.withdraw(order.host, order.txt);
    },
  };
}

export function authorizationOf(order: AcmeOrder): string {
  const [url] = order.authorizations;
  if (url === undefined) throw new IssuerFailure('the CA’s order has no authorization', { kind: 'lost' });
  return url;
}
