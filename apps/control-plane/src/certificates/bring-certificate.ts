import {
  type BringCertificate,
  broughtIssuer,
  type CertificateRecord,
  isAppError,
  recordKey,
} from '@lockstep/contract';
import { type BroughtCertificate, checkBrought, ocspUrlOf, type Sealer } from '@lockstep/pki';
import type { Check, ConfigStore } from '@lockstep/store';
import { isOwn, ownTenant } from '../auth/bounds.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { stapleChanges } from '../stapling/staple-changes.ts';
import { iso } from '../time/iso.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { sameJson } from '../validation/same-json.ts';
import { broughtId } from './brought.ts';
import { putCertificate } from './certificate-record.ts';
import { hostTaken, namesWithin, requireServable } from './own-certificates.ts';
import { type Brought, createTakeOver } from './take-over.ts';

/**
 * Puts a certificate from elsewhere into service for every name in it; with `issuer` as the managed one of each. `made`: false when the
 * same leaf was there already, or a managed one that lasts as long; a tenant or metadata that is left out stays then as it was. `told` says
 * so before the first commit.
 */
export type BringOne = (origin: WriteOrigin, body: BringCertificate, told?: Brought) => Promise<Brought>;

export interface BringOneOptions {
  store: ConfigStore;
  sealer: Sealer<'edges'>;
  known: Pick<KnownIssuers, 'getMany'>;
  servesOnDemand: () => boolean;
  mustBeProven: (origin: WriteOrigin) => boolean;
  now: () => number;
}

export function createBringOne({
  store,
  sealer,
  known,
  servesOnDemand,
  mustBeProven,
  now,
}: BringOneOptions): BringOne {
  const takeOver = createTakeOver({ store, sealer, servesOnDemand, now });

  async function ordersOf(hosts: readonly string[]): Promise<Check[]> {
    const orders = await store.getMany('order', [...hosts]);
    return hosts.map((id, index) => ({ kind: 'order', id, revision: orders[index]?.revision ?? null }));
  }

  async function checkTakenOver(
    { names }: BroughtCertificate,
    issuer: string,
    labels: Pick<BringCertificate, 'tenant' | 'metadata'>,
  ): Promise<void> {
    const label = (['tenant', 'metadata'] as const).find((name) => labels[name] !== undefined);
    if (label !== undefined)
      throw invalidField(
        `/${label}`,
        'is that of the routes of a managed certificate’s hosts; leave it or issuer out',
      );
    if ((await known.getMany([issuer]))[0] == null)
      throw invalidField(
        '/issuer',
        `there is no issuer "${issuer}"; put it first, or leave it out to bring the certificate as your own`,
      );
    if (names.length === 0)
      throw invalidField(
        '/issuer',
        'the certificate is for clients alone, which no issuer here renews; leave it out',
      );
  }

  /** What is wrong with a certificate that comes in a request is wrong with the request. */
  function checked(chain: string, keyPem: string) {
    try {
      return checkBrought({ chain, keyPem, now: now() });
    } catch (error) {
      if (!isAppError(error, 'bad_certificate')) throw error;
      const pointer = error.errors[0]?.pointer ?? (/^the key\b/.test(error.message) ? '/key' : '/chain');
      throw invalidField(pointer, error.message);
    }
  }

  return async (origin, { chain, key, issuer, ...labels }, told = { id: '', made: false }) => {
    const { bounds } = origin;
    const whole = checked(chain, key);
    const brought = { ...whole, names: namesWithin(bounds, whole.names) };
    const requireOwn = () =>
      requireServable(store, bounds, brought.names, { now: now(), servedAlone: mustBeProven(origin) });
    await requireOwn();
    if (issuer !== undefined) {
      await checkTakenOver(brought, issuer, labels);
      return takeOver(origin, brought, issuer, told, requireOwn);
    }
    ownTenant(bounds, labels.tenant);
    const { serialNumber, fingerprint256, notBefore, notAfter } = brought.facts;
    const id = broughtId(fingerprint256);
    return await writeInTurn(store, [recordKey('certificate', id)], async () => {
      // Whoever takes a host changes its order: so nobody does between the question whose it is and the commit.
      const ofNames = bounds === undefined ? [] : await ordersOf(brought.names);
      if (bounds !== undefined) await requireOwn();
      const before = await store.get('certificate', id);
      if (before !== null && !isOwn(bounds, before.value.tenant)) throw hostTaken(before.value.host);
      origin.condition?.(before?.revision ?? null);
      const {
        tenant = before?.value.tenant ?? ownTenant(bounds, undefined),
        metadata = before?.value.metadata,
      } = labels;
      const served = before?.value.chain === brought.chain;
      const had = { tenant: before?.value.tenant, metadata: before?.value.metadata };
      Object.assign(told, { id, made: before === null });
      if (served && sameJson(had, { tenant, metadata })) return told;
      const value: CertificateRecord = {
        host: brought.names[0] ?? id,
        names: brought.names,
        issuer: broughtIssuer,
        chain: brought.chain,
        sealedKey: sealer.seal(brought.keyPem, recordKey('certificate', id)),
        serialNumber,
        fingerprint256,
        notBefore,
        notAfter,
        issuedAt: before?.value.issuedAt ?? iso(now()),
        ...(tenant === undefined ? {} : { tenant }),
        ...(metadata === undefined ? {} : { metadata }),
      };
      await commit(store, {
        ...origin,
        checks: [{ kind: 'certificate', id, revision: before?.revision ?? null }, ...ofNames],
        changes: [
          putCertificate(id, value),
          ...(served ? [] : stapleChanges(id, brought.chain, now(), ocspUrlOf)),
        ],
      });
      return told;
    });
  };
}
