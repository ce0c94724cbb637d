import {
  addressOfHost,
  type CertificateRecord,
  idleOrder,
  type OrderRecord,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import { type BroughtCertificate, ocspUrlOf, type Sealer } from '@lockstep/pki';
import type { Change, ConfigStore } from '@lockstep/store';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import { stapleChanges } from '../stapling/staple-changes.ts';
import { iso } from '../time/iso.ts';
import { putCertificate } from './certificate-record.ts';
import { renewalDate } from './renewal-date.ts';

/** How long one is kept that no route names: whoever moves over makes the routes afterwards, and not all on one day. */
const unusedGraceMs = 7 * 86_400_000;
/** A CA is not asked about thousands at once, because they came at once. */
const firstAskMs = 3_600_000;

export interface TakeOverOptions {
  store: ConfigStore;
  sealer: Sealer<'edges'>;
  servesOnDemand: () => boolean;
  now: () => number;
}

/** What became of one that was brought; `made`: it was not there before. */
export interface Brought {
  id: string;
  made: boolean;
}

/**
 * Makes a certificate that somebody else obtained the managed one of each of its hosts, as if `issuer` had just given it: no CA is asked until
 * its renewal is due. One that is served already and lasts as long stays. `told.made` comes to be true before the first commit, and stays
 * as it was when nothing has changed.
 */
export type TakeOver = (
  origin: WriteOrigin,
  certificate: BroughtCertificate,
  issuer: string,
  told: Brought,
  /** Throws where a host is not for whoever brings it; asked again after the orders were read, which whoever takes a host changes. */
  requireOwn: () => Promise<void>,
) => Promise<Brought>;

export function createTakeOver({ store, sealer, servesOnDemand, now }: TakeOverOptions): TakeOver {
  async function takeOverHost(
    origin: WriteOrigin,
    host: string,
    { chain, keyPem, facts }: BroughtCertificate,
    issuer: string,
    told: Brought,
    requireOwn: () => Promise<void>,
  ): Promise<void> {
    const [before, order] = await Promise.all([store.get('certificate', host), store.get('order', host)]);
    if (origin.bounds !== undefined) await requireOwn();
    if (before !== null && !isSurpassed(before.value, facts)) return;
    const { serialNumber, fingerprint256, notBefore, notAfter } = facts;
    const value: CertificateRecord = {
      host,
      issuer,
      chain,
      sealedKey: sealer.seal(keyPem, recordKey('certificate', host)),
      serialNumber,
      fingerprint256,
      notBefore,
      notAfter,
      issuedAt: notBefore,
      revokedAt: null,
    };
    const changes: Change[] = [putCertificate(host, value), ...stapleChanges(host, chain, now(), ocspUrlOf)];
    // One under way ends with a newer certificate by itself.
    if (order === null || order.value.step === 'idle')
      changes.push(putOrder(host, await orderOf(host, order, facts)));
    told.made = true;
    await commit(store, {
      ...origin,
      checks: [
        { kind: 'certificate', id: host, revision: before?.revision ?? null },
        { kind: 'order', id: host, revision: order?.revision ?? null },
      ],
      changes,
    });
  }

  async function orderOf(
    host: string,
    order: StoredRecord<'order'> | null,
    { notBefore, notAfter }: BroughtCertificate['facts'],
  ): Promise<OrderRecord> {
    const renewAt = renewalDate(Date.parse(notBefore), Date.parse(notAfter));
    const askAt = now() + firstAskMs * (1 + Math.random());
    const due = iso(Math.max(now(), Math.min(renewAt, askAt)));
    const known = order?.value ?? idleOrder(host, iso(now()), due);
    const kept = {
      ...forgetFailures(known, now()),
      place: null,
      waitedUntil: null,
      renewal: null,
      renewAt: iso(renewAt),
      ari: { window: null, checkAt: iso(askAt) },
      dueAt: due,
    };
    const named = known.onDemand || (await store.findClaims(`${host} `, 1)).length > 0;
    if (named) return { ...kept, unusedSince: null };
    if (servesOnDemand() && addressOfHost(host) === null)
      return { ...kept, unusedSince: null, onDemand: true };
    return { ...kept, unusedSince: iso(now()), dueAt: iso(now() + unusedGraceMs) };
  }

  return async (origin, certificate, issuer, told, requireOwn) => {
    told.id = certificate.names[0]!;
    for (const host of certificate.names) {
      const keys = [recordKey('order', host)];
      await writeInTurn(store, keys, () => takeOverHost(origin, host, certificate, issuer, told, requireOwn));
    }
    return told;
  };
}

/** Whether the managed certificate gives way: it is revoked, or over sooner. */
function isSurpassed({ revokedAt, notAfter }: CertificateRecord, by: BroughtCertificate['facts']): boolean {
  return revokedAt != null || Date.parse(notAfter) < Date.parse(by.notAfter);
}
