import {
  AppError,
  type BringCertificate,
  broughtIssuer,
  type CertificateRecord,
  isAppError,
  type OrderRecord,
  type RevokeCertificate,
  recordKey,
  revocationReasons,
  type StoredRecord,
} from '@lockstep/contract';
import { type BroughtCertificate, checkBrought, ocspUrlOf, type Sealer } from '@lockstep/pki';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { isOwn, ownTenant } from '../auth/bounds.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import { stapleChanges } from '../stapling/staple-changes.ts';
import { iso } from '../time/iso.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { sameJson } from '../validation/same-json.ts';
import { broughtId, isBrought } from './brought.ts';
import { putCertificate } from './certificate-record.ts';
import { refuseShown } from './client-certificate.ts';
import {
  createRouteWords,
  hostTaken,
  isOwnCertificate,
  namesWithin,
  type RouteWords,
  requireNames,
  requireServable,
} from './own-certificates.ts';
import { createTakeOver } from './take-over.ts';

/**
 * Has the CA that issued a certificate revoke it, for a reason of RFC 5280, section 5.3.1. One that the CA has revoked before is no
 * failure. Throws `issuer_failed`.
 */
export type RevokeAtCa = (record: StoredRecord<'certificate'>, reason: number) => Promise<void>;

/** What an operator does to certificates. All of it throws `not_found` for an id that nothing has. */
export interface CertificateService {
  /**
   * Puts a certificate from elsewhere into service for every name in it; with `issuer` as the managed one of each. `made`: false when the
   * same leaf was there already, or a managed one that lasts as long; a tenant or metadata that is left out stays then as it was.
   */
  bring(origin: WriteOrigin, body: BringCertificate): Promise<{ id: string; made: boolean }>;
  /** Throws `in_use` while a route names the host of a managed one, or has its upstreams shown the certificate. */
  remove(origin: WriteOrigin, id: string): Promise<void>;
  /** Has a managed certificate obtained anew at once, whatever failed before. Throws `wrong_state`. */
  renew(origin: WriteOrigin, id: string): Promise<void>;
  /** Revokes a managed certificate and has another obtained at once. Throws `wrong_state`, `issuer_failed`. */
  revoke(origin: WriteOrigin, id: string, body: RevokeCertificate): Promise<void>;
}

export interface CertificateServiceOptions {
  store: ConfigStore;
  sealer: Sealer<'edges'>;
  revokeAtCa: RevokeAtCa;
  known: Pick<KnownIssuers, 'getMany'>;
  /** Whether names that no route names may have certificates. */
  servesOnDemand: () => boolean;
  /** Whether names have to be proven by whoever makes a change; left out: by nobody. */
  mustBeProven?: (origin: WriteOrigin) => boolean;
  now?: () => number;
}

interface Managed {
  certificate: StoredRecord<'certificate'> | null;
  order: StoredRecord<'order'> | null;
}

export function createCertificateService({
  store,
  sealer,
  revokeAtCa,
  known,
  servesOnDemand,
  mustBeProven = () => false,
  now = Date.now,
}: CertificateServiceOptions): CertificateService {
  const takeOver = createTakeOver({ store, sealer, servesOnDemand, now });

  async function find(id: string): Promise<Managed> {
    const [certificate, order] = await Promise.all([store.get('certificate', id), store.get('order', id)]);
    if (certificate === null && order === null) throw certificateNotFound(id);
    return { certificate, order };
  }

  /** The same, for whoever changes it: of others there is none. */
  async function findOwn({ bounds }: WriteOrigin, id: string): Promise<Managed> {
    if (!(await isOwnCertificate(store, bounds, id))) throw certificateNotFound(id);
    const found = await find(id);
    if (bounds?.tenant === null) requireNames(bounds, found.certificate?.value.names ?? [id], '');
    return found;
  }

  /** A certificate that Lockstep obtains itself; `what` completes "cannot be …" for one that it does not. */
  async function findManaged(origin: WriteOrigin, id: string, what: string): Promise<Managed> {
    const found = await findOwn(origin, id);
    if (found.certificate !== null && isBrought(found.certificate)) {
      throw wrongState(
        id,
        `certificate "${id}" was brought, so it cannot be ${what} here: do that at its issuer, then bring its successor with POST /v1/certificates`,
      );
    }
    return found;
  }

  async function bring(
    origin: WriteOrigin,
    { chain, key, issuer, ...labels }: BringCertificate,
  ): Promise<{ id: string; made: boolean }> {
    const { bounds } = origin;
    const whole = checked(chain, key);
    const brought = { ...whole, names: namesWithin(bounds, whole.names) };
    await requireServable(store, bounds, brought.names, { now: now(), servedAlone: mustBeProven(origin) });
    if (issuer !== undefined) {
      await checkTakenOver(brought, issuer, labels);
      return takeOver(origin, brought, issuer);
    }
    ownTenant(bounds, labels.tenant);
    const { serialNumber, fingerprint256, notBefore, notAfter } = brought.facts;
    const id = broughtId(fingerprint256);
    return await writeInTurn(store, [recordKey('certificate', id)], async () => {
      const before = await store.get('certificate', id);
      if (before !== null && !isOwn(bounds, before.value.tenant)) throw hostTaken(before.value.host);
      origin.condition?.(before?.revision ?? null);
      const {
        tenant = before?.value.tenant ?? ownTenant(bounds, undefined),
        metadata = before?.value.metadata,
      } = labels;
      const served = before?.value.chain === brought.chain;
      const had = { tenant: before?.value.tenant, metadata: before?.value.metadata };
      if (served && sameJson(had, { tenant, metadata })) return { id, made: false };
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
        checks: [{ kind: 'certificate', id, revision: before?.revision ?? null }],
        changes: [
          putCertificate(id, value),
          ...(served ? [] : stapleChanges(id, brought.chain, now(), ocspUrlOf)),
        ],
      });
      return { id, made: before === null };
    });
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

  async function remove(origin: WriteOrigin, id: string): Promise<void> {
    const wordsOf = createRouteWords(store, origin.bounds);
    await writeInTurn(store, [recordKey('order', id)], async () => {
      const { certificate, order } = await findOwn(origin, id);
      const managed = certificate === null || !isBrought(certificate);
      await refuseShown(store, id, wordsOf);
      if (managed) await refuseNamed(wordsOf, id, order?.value.host ?? certificate?.value.host ?? id);
      origin.condition?.(certificate?.revision ?? 0);
      await commit(store, {
        ...origin,
        checks: checksOf({ certificate, order }),
        changes: removal(id, order),
      });
    });
  }

  async function refuseNamed(wordsOf: RouteWords, id: string, host: string): Promise<void> {
    const [holder] = await store.findClaims(`${host} `, 1);
    if (holder === undefined) return;
    const { words, facts } = await wordsOf(holder.id);
    throw new AppError(
      'in_use',
      `${words} names "${host}", so certificate "${id}" would be obtained again; take the host out of its routes first`,
      { facts: { certificate: id, ...facts } },
    );
  }

  /** An order under way has left things at edges and in the DNS, which whoever drives it takes back before the record goes. */
  function removal(id: string, order: StoredRecord<'order'> | null): Change[] {
    if (order !== null && order.value.step !== 'idle') {
      const unusedSince = order.value.unusedSince ?? iso(now());
      return [putOrder(id, { ...order.value, unusedSince, onDemand: false, dueAt: iso(now()) })];
    }
    return (['certificate', 'order', 'attempts', 'staple'] as const).map((kind) => ({
      op: 'delete',
      kind,
      id,
    }));
  }

  async function renew(origin: WriteOrigin, id: string): Promise<void> {
    await writeInTurn(store, [recordKey('order', id)], async () => {
      const { certificate, order } = await findManaged(origin, id, 'renewed');
      if (order === null || order.value.unusedSince !== null)
        throw wrongState(
          id,
          `no route names the host of certificate "${id}"; it goes when its grace time is over`,
        );
      origin.condition?.(certificate?.revision ?? 0);
      const value = dueNow(order.value, certificate === null ? order.value.renewal : 'asked');
      await commit(store, {
        ...origin,
        checks: checksOf({ certificate, order }),
        changes: [putOrder(id, value)],
      });
    });
  }

  async function revoke(origin: WriteOrigin, id: string, { reason }: RevokeCertificate): Promise<void> {
    const { certificate } = await findManaged(origin, id, 'revoked');
    if (certificate === null)
      throw wrongState(id, `certificate "${id}" has not been issued yet: there is nothing to revoke`);
    origin.condition?.(certificate.revision);
    if (certificate.value.revokedAt != null) return;
    // From here on it is revoked, whoever changes its record meanwhile.
    await revokeAtCa(certificate, revocationReasons[reason]);
    const { fingerprint256 } = certificate.value;
    await writeInTurn(store, [recordKey('order', id)], async () => {
      const found = await find(id).catch(nullWhenNotFound);
      // Renewed or removed meanwhile: what was revoked is served no more.
      if (found?.certificate?.value.fingerprint256 !== fingerprint256) return;
      const changes: Change[] = [putCertificate(id, { ...found.certificate.value, revokedAt: iso(now()) })];
      if (found.order !== null && found.order.value.unusedSince === null)
        changes.push(putOrder(id, dueNow(found.order.value, 'revoked')));
      await commit(store, { ...origin, checks: checksOf(found), changes });
    });
  }

  function dueNow(order: OrderRecord, renewal: OrderRecord['renewal']): OrderRecord {
    return { ...forgetFailures(order, now()), renewal };
  }

  return { bring, remove, renew, revoke };
}

export function certificateNotFound(id: string): AppError {
  return new AppError('not_found', `there is no certificate "${id}"`, { facts: { certificate: id } });
}

function wrongState(id: string, detail: string): AppError {
  return new AppError('wrong_state', detail, { facts: { certificate: id } });
}

function checksOf({ certificate, order }: Managed): Check[] {
  return [certificate, order].flatMap((record) =>
    record === null ? [] : [{ kind: record.kind, id: record.id, revision: record.revision }],
  );
}

function nullWhenNotFound(error: unknown): null {
  if (isAppError(error, 'not_found')) return null;
  throw error;
}
