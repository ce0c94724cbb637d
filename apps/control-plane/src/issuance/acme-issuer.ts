import { type OrderRecord, recordKey } from '@lockstep/contract';
import {
  type AcmeAuthorization,
  type AcmeClient,
  type AcmeOrder,
  AcmeProblem,
  createAcmeClient,
  createCsr,
  generateKeyPem,
  type Sealer,
} from '@lockstep/pki';
import { type ConfigStore, revisionOf } from '@lockstep/store';
import type { Logger } from 'pino';
import type { AcmeConfig } from '../config.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { findOrMakeAccount, rememberAccountUrl } from './acme-account.ts';
import { type Issuer, IssuerFailure, type StepResult } from './issuer.ts';

// Where the CA names no Retry-After. An authorization with a live challenge takes a CA a moment, rarely longer.
const firstPollMs = 100;
const pollMs = 1_000;
/** Before another look while no edge at all has the challenge. */
const nobodyAnswersMs = 5_000;

export interface AcmeIssuerOptions {
  acme: AcmeConfig;
  rootsPem: string | null;
  store: ConfigStore;
  fleet: Fleet;
  sealer: Sealer;
  log: Logger;
  userAgent: string;
}

/** An ACME CA (RFC 8555) by HTTP-01. Which step comes next is read from the CA's own state of the order. */
export function createAcmeIssuer({
  acme,
  rootsPem,
  store,
  fleet,
  sealer,
  log,
  userAgent,
}: AcmeIssuerOptions): Issuer {
  let opening: Promise<AcmeClient> | null = null;

  async function openClient(): Promise<AcmeClient> {
    const account = await findOrMakeAccount(store, sealer, acme.directory);
    const client = createAcmeClient({
      directory: acme.directory,
      accountKeyPem: account.keyPem,
      accountUrl: account.url,
      rootsPem,
      userAgent,
    });
    if (account.url === null) {
      const { accountUrl } = await client.createAccount({ email: acme.email });
      await rememberAccountUrl(store, account.id, accountUrl);
    }
    return client;
  }

  function client(): Promise<AcmeClient> {
    opening ??= openClient().catch((error: unknown) => {
      opening = null;
      throw error;
    });
    return opening;
  }

  async function begin(id: string, order: OrderRecord): Promise<StepResult> {
    if (order.host.startsWith('*.')) {
      throw new IssuerFailure(
        'an ACME CA certifies a wildcard by DNS-01 only, and no DNS provider is set up',
      );
    }
    const keyPem = await generateKeyPem();
    const created = await (await client()).newOrder({ host: order.host });
    const sealedKey = sealer.seal(keyPem, recordKey('order', id));
    return {
      outcome: 'next',
      order: { step: 'ordered', orderUrl: created.url, finalizeUrl: created.finalizeUrl, sealedKey },
    };
  }

  async function resume(
    id: string,
    order: OrderRecord,
    orderUrl: string,
    signal: AbortSignal,
  ): Promise<StepResult> {
    const acmeClient = await client();
    const current = await acmeClient.getOrder(orderUrl);
    switch (current.status) {
      case 'pending':
        return await authorize(acmeClient, id, order, current, signal);
      case 'ready': {
        const csr = await createCsr({ keyPem: openKey(id, order), host: order.host });
        const finalised = await acmeClient.finalize(order.finalizeUrl ?? current.finalizeUrl, csr);
        return {
          outcome: 'next',
          order: { step: 'finalising' },
          waitMs: finalised.status === 'valid' ? 0 : firstPollMs,
        };
      }
      case 'processing':
        return { outcome: 'next', order: { step: 'finalising' }, waitMs: current.retryAfterMs || pollMs };
      case 'valid': {
        if (current.certificateUrl === null)
          throw new IssuerFailure('the CA calls the order valid but names no certificate');
        return {
          outcome: 'issued',
          chain: await acmeClient.getCertificate(current.certificateUrl),
          keyPem: openKey(id, order),
        };
      }
      default:
        throw await explainInvalidOrder(acmeClient, current);
    }
  }

  async function authorize(
    acmeClient: AcmeClient,
    id: string,
    order: OrderRecord,
    current: AcmeOrder,
    signal: AbortSignal,
  ): Promise<StepResult> {
    const authorization = await acmeClient.getAuthorization(authorizationOf(current));
    if (authorization.status === 'valid')
      return { outcome: 'next', order: {}, waitMs: current.retryAfterMs || firstPollMs };
    if (authorization.status !== 'pending') throw explainAuthorization(authorization);
    const challenge = authorization.challenges.find(({ type }) => type === 'http-01');
    if (challenge === undefined) throw new IssuerFailure('the CA offers no HTTP-01 challenge for this name');

    const placed = order.challengeId === null ? null : await store.get('challenge', order.challengeId);
    if (placed === null || placed.id !== challenge.token) {
      return {
        outcome: 'next',
        order: { step: 'placed', challengeUrl: challenge.url, challengeId: challenge.token },
        changes: [
          {
            op: 'put',
            kind: 'challenge',
            id: challenge.token,
            value: {
              type: 'http-01',
              host: order.host,
              token: challenge.token,
              keyAuthorization: await acmeClient.keyAuthorization(challenge.token),
              createdAt: new Date().toISOString(),
            },
          },
        ],
      };
    }
    if (challenge.status !== 'pending' || order.step === 'validating') {
      return { outcome: 'next', order: { step: 'validating' }, waitMs: authorization.retryAfterMs || pollMs };
    }
    const revision = revisionOf({ ...(await store.head()), number: placed.revision });
    const behind = await fleet.applied(revision, signal);
    if (behind === null) return { outcome: 'next', order: {}, waitMs: nobodyAnswersMs };
    if (behind.length > 0)
      log.warn({ certificate: id, nodes: behind }, 'told the CA to validate although these nodes are behind');
    await acmeClient.completeChallenge(challenge.url);
    return { outcome: 'next', order: { step: 'validating' }, waitMs: firstPollMs };
  }

  function openKey(id: string, order: OrderRecord): string {
    if (order.sealedKey === null) throw new IssuerFailure('the order has no key; it is begun again');
    return sealer.open(order.sealedKey, recordKey('order', id));
  }

  return {
    name: 'acme',
    async advance(id, order, signal) {
      try {
        return order.orderUrl === null
          ? await begin(id, order)
          : await resume(id, order, order.orderUrl, signal);
      } catch (error) {
        throw error instanceof AcmeProblem ? explainProblem(error) : error;
      }
    },
  };
}

function authorizationOf(order: AcmeOrder): string {
  const [url] = order.authorizations;
  if (url === undefined) throw new IssuerFailure('the CA’s order has no authorization');
  return url;
}

async function explainInvalidOrder(acmeClient: AcmeClient, order: AcmeOrder): Promise<IssuerFailure> {
  const authorization = await acmeClient.getAuthorization(authorizationOf(order));
  if (authorization.status === 'invalid') return explainAuthorization(authorization);
  return new IssuerFailure(
    `the CA calls the order ${order.status}: ${order.error?.detail ?? 'it gives no reason'}`,
    {
      type: order.error?.type ?? null,
    },
  );
}

function explainAuthorization(authorization: AcmeAuthorization): IssuerFailure {
  const error = authorization.challenges.find((challenge) => challenge.error !== null)?.error;
  return new IssuerFailure(
    `the CA could not validate the name: ${error?.detail ?? `authorization ${authorization.status}`}`,
    {
      type: error?.type ?? null,
    },
  );
}

function explainProblem(problem: AcmeProblem): IssuerFailure {
  const gone = problem.status === 404; // the CA forgot the order: begin another
  const temporary = problem.status === null || problem.status >= 500 || problem.status === 429;
  const said = problem.status === null ? 'cannot be reached' : `answered ${problem.status}`;
  return new IssuerFailure(`the CA ${said}: ${problem.detail}`, {
    cause: problem,
    type: problem.type,
    retryAfterMs: problem.retryAfterMs,
    resumable: temporary && !gone,
  });
}
