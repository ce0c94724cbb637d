import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { recordKey } from '@lockstep/contract';
import { type AcmeClient, AcmeProblem, type Authority, createAuthority } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { SeededRandom } from './random.ts';

const dayMs = 86_400_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const crypto = webcrypto as Crypto;

interface Order {
  host: string;
  status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  token: string;
  told: boolean;
  csr: Buffer | null;
  chain: string | null;
}

/**
 * A CA as RFC 8555 has it, in memory. The real one, Pebble, cannot be had here: what it answers hangs on its own clock and its own dice,
 * and a run of the fuzz has to come again from its seed. Everything else runs against Pebble.
 */
export interface FakeCa {
  readonly client: AcmeClient;
  readonly orders: readonly Order[];
  /** Challenges it was told to validate which no edge could have answered. */
  readonly unanswerable: string[];
  down: boolean;
}

export async function createFakeCa(options: {
  name: string;
  store: ConfigStore;
  random: SeededRandom;
  isBad(host: string): boolean;
  now: () => number;
}): Promise<FakeCa> {
  const { name, store, random, isBad, now } = options;
  const authority: Authority = await createAuthority({ now: now() - dayMs });
  const root = new X509Certificate(authority.certificate);
  const pkcs8 = Buffer.from(authority.keyPem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const signingKey = await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
  const orders: Order[] = [];
  const unanswerable: string[] = [];
  const base = `https://${name}.test`;

  function problem(status: number, type: string, detail: string): AcmeProblem {
    return new AcmeProblem({ status, type: `urn:ietf:params:acme:error:${type}`, detail });
  }

  function orderAt(url: string): Order {
    const found = orders[Number(url.split('/').at(-1))];
    if (found === undefined) throw problem(404, 'malformed', 'no such order');
    return found;
  }

  function show(order: Order) {
    const url = `${base}/order/${orders.indexOf(order)}`;
    return {
      url,
      status: order.status,
      authorizations: [url.replace('order', 'authz')],
      finalizeUrl: url.replace('order', 'finalize'),
      certificateUrl: order.status === 'valid' ? url.replace('order', 'cert') : null,
      expires: null,
      error: null,
      retryAfterMs: 1_500,
    };
  }

  async function sign(order: Order): Promise<string> {
    const request = new Pkcs10CertificateRequest(order.csr!);
    const certificate = await X509CertificateGenerator.create(
      {
        serialNumber: `01${randomBytes(8).toString('hex')}`,
        issuer: root.subjectName,
        notBefore: new Date(now() - 60_000),
        notAfter: new Date(now() + 90 * dayMs),
        signingKey,
        publicKey: request.publicKey,
        signingAlgorithm: algorithm,
        extensions: [
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
          new SubjectAlternativeNameExtension([{ type: 'dns', value: order.host }], true),
        ],
      },
      crypto,
    );
    return certificate.toString('pem');
  }

  const client: AcmeClient = {
    directory: async () => ({
      caaIdentities: [],
      profiles: {},
      externalAccountRequired: false,
      renewalInfo: null,
      termsOfService: null,
    }),
    createAccount: async () => ({ accountUrl: `${base}/account/1` }),
    async newOrder({ host }) {
      const token = randomBytes(16).toString('base64url');
      const order: Order = { host, status: 'pending', token, told: false, csr: null, chain: null };
      orders.push(order);
      return show(order);
    },
    async getOrder(url) {
      const order = orderAt(url);
      if (order.status === 'processing' && random.chance(0.5)) {
        order.chain = await sign(order);
        order.status = 'valid';
      }
      return show(order);
    },
    async getAuthorization(url) {
      const order = orderAt(url);
      if (order.told && order.status === 'pending' && random.chance(0.7)) {
        const answerable = (await store.get('challenge', order.token)) !== null;
        if (!answerable) unanswerable.push(recordKey('challenge', order.token));
        order.status = answerable && !isBad(order.host) ? 'ready' : 'invalid';
      }
      const proven = order.status !== 'pending' && order.status !== 'invalid';
      const state = order.status === 'invalid' ? 'invalid' : proven ? 'valid' : 'pending';
      return {
        status: state,
        host: order.host,
        challenges: [
          {
            type: 'http-01',
            url: url.replace('authz', 'challenge'),
            token: order.token,
            issuerDomainNames: [],
            accountUri: null,
            status: state === 'pending' && order.told ? 'processing' : state,
            error:
              state === 'invalid'
                ? { type: 'urn:ietf:params:acme:error:connection', detail: 'refused' }
                : null,
          },
        ],
        retryAfterMs: 1_500,
      };
    },
    keyAuthorization: async (token) => `${token}.thumbprint`,
    async completeChallenge(url) {
      orderAt(url).told = true;
    },
    async finalize(url, csr) {
      const order = orderAt(url);
      if (order.status !== 'ready') throw problem(403, 'orderNotReady', `the order is ${order.status}`);
      order.csr = csr;
      order.status = 'processing';
      return show(order);
    },
    async getCertificate(url) {
      const { chain } = orderAt(url);
      if (chain === null) throw problem(404, 'malformed', 'no certificate yet');
      const others = orders.flatMap((order) =>
        order.chain === null || order.chain === chain ? [] : order.chain,
      );
      return others.length > 0 && random.chance(0.2) ? random.pick(others) : chain; // somebody else's, now and then
    },
    revokeCertificate: async () => {},
    getRenewalInfo: async () => null,
    close: () => {},
  };
  return { client, orders, unanswerable, down: false };
}
