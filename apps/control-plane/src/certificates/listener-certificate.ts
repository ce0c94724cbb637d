import { recordFault, recordKey } from '@lockstep/contract';
import { generateKeyPem, issueCertificate, type Sealers } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commit, writeInTurn } from '../changes/writes.ts';
import { findOrMakeAuthority } from '../issuers/authority.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { forgetFailures, newOrder, putOrder } from '../orders/order-record.ts';
import type { TlsMaterial, TlsSource } from '../startup/tls-files.ts';
import { createSharedRun } from '../time/shared-run.ts';
import { findBrought, isBroughtId } from './brought.ts';

const lookAgainMs = 60_000;
const yearMs = 365 * 86_400_000;

export interface ListenerCertificateOptions {
  host: string;
  store: ConfigStore;
  hub: Pick<ChangeHub, 'watch'>;
  sealers: Sealers;
  queue: Pick<OrderQueue, 'enter'>;
  log: Logger;
  now: () => number;
}

/**
 * The certificate of the API's own name: ordered and renewed as a route's, and served by the control planes themselves as soon as it is there.
 * Until then they serve one of the internal CA, so that the API can be reached in which the issuers are set up. Throws `store_unavailable`.
 */
export async function openListenerCertificate({
  host,
  store,
  hub,
  sealers,
  queue,
  log,
  now,
}: ListenerCertificateOptions): Promise<TlsSource> {
  const listeners: ((material: TlsMaterial) => void)[] = [];

  async function own(): Promise<TlsMaterial> {
    const authority = await findOrMakeAuthority(store, sealers.controlPlanes, now);
    const key = await generateKeyPem();
    const cert = await issueCertificate({ authority, host, keyPem: key, lifetimeMs: yearMs, now: now() });
    return { cert, key };
  }

  /** What edges would serve for the name, but none that a tenant brought; null where there is nothing yet. */
  async function find(): Promise<TlsMaterial | null> {
    const [brought, managed] = await Promise.all([
      findBrought(store, [host], now()),
      store.get('certificate', host),
    ]);
    const ofOperator = brought.get(host)?.value.tenant === undefined ? brought.get(host) : undefined;
    const record = ofOperator ?? managed;
    if (record === null || recordFault(record) !== null) return null;
    const { chain, sealedKey } = record.value;
    return { cert: chain, key: sealers.edges.open(sealedKey, recordKey('certificate', record.id)) };
  }

  /** Whatever became of it, with the last route that named the host or by somebody's hand: it is ordered again. */
  async function order(): Promise<void> {
    await writeInTurn(store, [recordKey('order', host)], async () => {
      const known = await store.get('order', host);
      if (known !== null && known.value.unusedSince === null) return;
      const wanted =
        known === null ? newOrder(host, now()) : { ...forgetFailures(known.value, now()), unusedSince: null };
      await commit(store, {
        by: { kind: 'system' },
        checks: [{ kind: 'order', id: host, revision: known?.revision ?? null }],
        changes: [putOrder(host, await queue.enter(wanted))],
      });
    });
  }

  let current = (await find()) ?? (await own());

  const look = createSharedRun(async () => {
    try {
      await order();
      const next = await find();
      if (next === null || next.cert === current.cert) return;
      current = next;
      for (const listener of listeners) listener(next);
      log.info({ host }, 'the listener has another certificate');
    } catch (error) {
      log.warn({ err: error, host }, 'cannot look for the certificate of the listener; the one before stays');
    }
  });

  const unwatch = hub.watch((entry) => {
    const concerns = entry?.changes.some(
      ({ kind, id }) =>
        (id === host && (kind === 'certificate' || kind === 'order')) ||
        (kind === 'certificate' && isBroughtId(id)),
    );
    if (concerns ?? true) look();
  });
  const timer = setInterval(look, lookAgainMs).unref();
  look();

  return {
    clientCertificates: false,
    current: () => current,
    watch: (listener) => void listeners.push(listener),
    close() {
      unwatch();
      clearInterval(timer);
    },
  };
}
