import type { ChallengeType, KeyType, Limits, OrderRecord, RenewalWindow } from '@lockstep/contract';
import { addressOfHost, isAppError, recordKey } from '@lockstep/contract';
import {
  type AcmeClient,
  type AcmeOrder,
  AcmeProblem,
  ariCertId,
  createCsr,
  generateKeyPem,
  type Sealer,
} from '@lockstep/pki';
import { iso } from '../../time/iso.ts';
import { type CaaFacts, type Issuer, IssuerFailure, type StepContext, type StepResult } from '../issuer.ts';
import type { AcmeSession } from './acme-session.ts';
import { type Authorizer, authorizationOf } from './authorizer.ts';
import { challengeTypes } from './challenge-choice.ts';
import { explainAuthorization, explainOrder, explainProblem, isType } from './explain-problem.ts';
import type { PersistSource } from './persist-facts.ts';
import { firstPollMs, pollWait } from './poll-wait.ts';

const renewalInfoTimeoutMs = 10_000;
const factsTimeoutMs = 10_000;
/** What a CA is called is not asked again so soon after it did not answer: every host of a chain would wait for its time-out. */
const factsRestMs = 60_000;

export interface AcmeIssuerOptions {
  name: string;
  directory: string;
  session: AcmeSession;
  authorizer: Authorizer;
  persist: Pick<PersistSource, 'before'>;
  sealer: Sealer;
  keyType: KeyType;
  profile: string | null;
  preferredChain: string | null;
  challenges: readonly ChallengeType[] | null;
  /** Why it certifies no IP addresses; null where it does. */
  addressFault: string | null;
  caaIdentities: string[] | null;
  limits: Limits | null;
  /** Why nothing is to be ordered, as the CA's answers tell the time. */
  clockFault?: (() => string | null) | undefined;
  now: () => number;
}

/** An ACME CA (RFC 8555). Which step comes next is read from the CA's own state of the order. */
export function createAcmeIssuer(options: AcmeIssuerOptions): Issuer {
  const { name, directory, session, authorizer, persist, sealer, now } = options;
  let factsRest: { until: number; failure: IssuerFailure } | null = null;

  function typesFor(order: OrderRecord, { challenge, proxied }: StepContext): ChallengeType[] {
    const { challenges: issuer } = options;
    return challengeTypes({ order, route: challenge, proxied, issuer, canDns: authorizer.canDns() });
  }

  /** Those that may prove a host that nothing was tried for yet. */
  function typesAtFirst(host: string, route: ChallengeType | null): ChallengeType[] {
    const order = { host, unproven: 0, workedBefore: null };
    return challengeTypes({ order, route, issuer: options.challenges, canDns: authorizer.canDns() });
  }

  /** What is asked of the CA before an order. */
  async function rested<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (factsRest !== null && factsRest.until > now()) throw factsRest.failure;
    factsRest = null;
    return explained(() => ask(AbortSignal.timeout(factsTimeoutMs))).catch((failure: unknown) => {
      if (failure instanceof IssuerFailure && failure.kind === 'unavailable')
        factsRest = { until: now() + factsRestMs, failure };
      throw failure;
    });
  }

  async function begin(id: string, order: OrderRecord, context: StepContext): Promise<StepResult> {
    if (typesFor(order, context).length === 0) throw noChallenge(order.host, context.challenge);
    const keyPem = await generateKeyPem(options.keyType);
    const replaces = context.certificate?.value.issuer === name ? await replacedId(context) : null;
    const created = await session.use(context.signal, async (client) => {
      await checkClock(client, context.signal);
      return newOrder(client, order.host, replaces, context.signal);
    });
    return {
      outcome: 'next',
      order: {
        step: 'ordered',
        orderedAt: iso(now()),
        directory,
        orderUrl: created.url,
        finalizeUrl: created.finalizeUrl,
        sealedKey: sealer.seal(keyPem, recordKey('order', id)),
      },
    };
  }

  async function checkClock(client: AcmeClient, signal: AbortSignal): Promise<void> {
    if (options.clockFault === undefined) return;
    await client.directory(signal); // with the first answer comes the first Date
    const fault = options.clockFault();
    if (fault !== null) throw new IssuerFailure(fault, { kind: 'unavailable' });
  }

  async function replacedId({ certificate, signal }: StepContext): Promise<string | null> {
    const { renewalInfo } = await session.use(signal, (client) => client.directory(signal));
    if (certificate === null || renewalInfo === null) return null;
    try {
      return ariCertId(certificate.value.chain);
    } catch {
      return null; // it does not say which key signed it: it can be renewed all the same
    }
  }

  async function newOrder(client: AcmeClient, host: string, replaces: string | null, signal: AbortSignal) {
    const profile = options.profile === null ? {} : { profile: options.profile };
    if (replaces === null) return client.newOrder({ host, ...profile }, signal);
    try {
      return await client.newOrder({ host, ...profile, replaces }, signal);
    } catch (error) {
      // RFC 9773, section 5: the certificate was replaced already; or the CA does not know it, or not as this account's (any more), which
      // Pebble calls a fault of its own.
      if (!refusesReplacing(error)) throw error;
      return client.newOrder({ host, ...profile }, signal);
    }
  }

  async function resume(
    client: AcmeClient,
    id: string,
    order: OrderRecord,
    context: StepContext,
    orderUrl: string,
  ): Promise<StepResult> {
    const { signal } = context;
    // Not by the hosts of its URLs: RFC 8555 does not ask for the directory's (section 7.1).
    if (order.directory !== directory)
      throw new IssuerFailure('the order was made at another directory', { kind: 'lost' });
    const current = await client.getOrder(orderUrl, signal);
    switch (current.status) {
      case 'pending':
        return await authorizer.advance(client, id, order, current, typesFor(order, context), signal);
      case 'ready': {
        const csr = await createCsr({ keyPem: openKey(id, order), host: order.host });
        const finalised = await client.finalize(order.finalizeUrl ?? current.finalizeUrl, csr, signal);
        return {
          outcome: 'next',
          order: { step: 'finalising' },
          waitMs:
            finalised.status === 'valid' ? 0 : pollWait(order, finalised.retryAfterMs, now(), firstPollMs),
        };
      }
      case 'processing':
        return {
          outcome: 'next',
          order: { step: 'finalising' },
          waitMs: pollWait(order, current.retryAfterMs, now()),
        };
      case 'valid': {
        if (current.certificateUrl === null)
          throw new IssuerFailure('the CA calls the order valid but names no certificate', { kind: 'lost' });
        const { preferredChain } = options;
        return {
          outcome: 'issued',
          chain: await download(client, current.certificateUrl, preferredChain, signal),
          keyPem: openKey(id, order),
        };
      }
      default:
        throw await explainInvalidOrder(client, current, signal);
    }
  }

  function openKey(id: string, order: OrderRecord): string {
    if (order.sealedKey === null)
      throw new IssuerFailure('the order has no key; it is begun again', { kind: 'lost' });
    return sealer.open(order.sealedKey, recordKey('order', id));
  }

  return {
    name,
    limits: options.limits,
    asksCa: true,
    refuses(host, challenge) {
      const usable = typesAtFirst(host, challenge);
      if (addressOfHost(host) !== null)
        return options.addressFault ?? (usable.length === 0 ? noChallenge(host, challenge).message : null);
      return usable.length === 0 && host.startsWith('*.') ? noChallenge(host, challenge).message : null;
    },
    caa: (host, challenge) =>
      rested(async (signal): Promise<CaaFacts> => {
        const identities =
          options.caaIdentities ??
          (await session.use(signal, (client) => client.directory(signal))).caaIdentities;
        const { url } = await session.account(signal);
        const [method = null, ...others] = typesAtFirst(host, challenge);
        return { identities, method: others.length === 0 ? method : null, accountUrl: url };
      }),
    async persist(host, challenge) {
      const types = typesAtFirst(host, challenge);
      if (!types.includes('dns-persist-01')) return null;
      const facts = await rested((signal) => persist.before(signal));
      return facts.issuerDomains.length === 0 ? null : { ...facts, alone: types.length === 1 };
    },
    advance: (id, order, context) =>
      explained(() =>
        order.orderUrl === null
          ? begin(id, order, context)
          : session.use(context.signal, (client) =>
              resume(client, id, order, context, order.orderUrl as string),
            ),
      ),
    cleanUp: (order) => authorizer.cleanUp(order),
    renewalInfo: (chain, outer) =>
      explained(async () => {
        const signal = AbortSignal.any([outer, AbortSignal.timeout(renewalInfoTimeoutMs)]);
        const info = await session.use(signal, (client) => client.getRenewalInfo(ariCertId(chain), signal));
        if (info === null) return null;
        const window: RenewalWindow = {
          start: iso(info.start),
          end: iso(info.end),
          explanationUrl: info.explanationUrl,
        };
        return { window, retryAfterMs: info.retryAfterMs };
      }),
    revoke: (chain, reason, keyPem) =>
      explained(() => {
        const signal = AbortSignal.timeout(30_000);
        return session.use(signal, async (client) => {
          try {
            await client.revokeCertificate({ chain, reason }, signal);
          } catch (error) {
            // Another account ordered it (one that was lost, or had another binding): its key does as well (RFC 8555, section 7.6).
            if (!isType(error, 'unauthorized')) throw error;
            await client.revokeCertificate({ chain, reason, keyPem }, signal);
          }
        });
      }),
    accountUrl: async () => session.account(AbortSignal.timeout(10_000)).then(({ url }) => url),
    close: () => session.close(),
  };
}

/** A certificate that is not there although its order is valid is on its way: another order would only be one more. */
async function download(
  client: AcmeClient,
  url: string,
  preferredChain: string | null,
  signal: AbortSignal,
): Promise<string> {
  try {
    return await client.getCertificate(url, { preferredChain }, signal);
  } catch (error) {
    if (!(error instanceof AcmeProblem) || error.status !== 404) throw error;
    throw new IssuerFailure('the CA calls the order valid, but its certificate is not there yet', {
      kind: 'unavailable',
      cause: error,
      problem: error.document,
    });
  }
}

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AcmeProblem) throw explainProblem(error);
    if ((error as Error).name === 'TimeoutError')
      throw new IssuerFailure('the CA does not answer in time', { kind: 'unavailable', cause: error });
    // Of the store's errors nothing is the CA's fault; these are (ZeroSSL gives no binding, a certificate it made cannot be read).
    if (isAppError(error, 'issuer_failed') || isAppError(error, 'bad_certificate'))
      throw new IssuerFailure(error.message, { kind: 'refused', cause: error });
    throw error;
  }
}

/** The CA refused an order that names what it replaces, and may take it without. */
function refusesReplacing(error: unknown): boolean {
  if (!(error instanceof AcmeProblem) || error.status === null || error.status > 500) return false;
  return error.status !== 429 && !isType(error, 'rateLimited') && !isType(error, 'accountDoesNotExist');
}

async function explainInvalidOrder(
  client: AcmeClient,
  order: AcmeOrder,
  signal: AbortSignal,
): Promise<IssuerFailure> {
  const authorization = await client.getAuthorization(authorizationOf(order), signal);
  return authorization.status === 'invalid' ? explainAuthorization(authorization) : explainOrder(order);
}

function noChallenge(host: string, asked: ChallengeType | null): IssuerFailure {
  const why = addressOfHost(host)
    ? 'an IP address is validated by http-01 or tls-alpn-01 only, and the issuer or the route names others'
    : host.startsWith('*.')
      ? 'an ACME CA certifies a wildcard by the DNS only: by DNS-01, and no DNS provider is set up (issuer or settings: dnsProvider), or by dns-persist-01 (challenges of the issuer, challenge of the route)'
      : asked === 'dns-01'
        ? 'the route asks for dns-01, and no DNS provider is set up (issuer or settings: dnsProvider)'
        : 'none of the challenges that the issuer is set to can be used for this host';
  return new IssuerFailure(why, { kind: 'refused' });
}
