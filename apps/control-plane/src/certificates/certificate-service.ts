import {
  AppError,
  isAppError,
  type OrderRecord,
  type PatchCertificate,
  type RevokeCertificate,
  recordKey,
  revocationReasons,
  type StoredRecord,
} from '@lockstep/contract';
import { PutCertificate } from '@lockstep/contract/schemas';
import type { Sealer } from '@lockstep/pki';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { ownTenant } from '../auth/bounds.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';
import { toInvalidRequest } from '../validation/invalid-field.ts';
import { mergePatch } from '../validation/merge-patch.ts';
import { sameJson } from '../validation/same-json.ts';
import { type BringOne, createBringOne } from './bring-certificate.ts';
import { isBrought } from './brought.ts';
import { putCertificate } from './certificate-record.ts';
import { refuseShown } from './client-certificate.ts';
import { createRouteWords, isOwnCertificate, type RouteWords, requireNames } from './own-certificates.ts';

/**
 * Has the CA that issued a certificate revoke it, for a reason of RFC 5280, section 5.3.1. One that the CA has revoked before is no
 * failure. Throws `issuer_failed`.
 */
export type RevokeAtCa = (record: StoredRecord<'certificate'>, reason: number) => Promise<void>;

/** What an operator does to certificates. All of it throws `not_found` for an id that nothing has. */
export interface CertificateService {
  bring: BringOne;
  /** Replaces whose a brought one is, and what is kept beside it. Throws `wrong_state` for a managed one, `forbidden`. */
  put(origin: WriteOrigin, id: string, body: PutCertificate): Promise<void>;
  /** Merges a patch into these (RFC 7396). Throws the same, and `invalid_request`. */
  patch(origin: WriteOrigin, id: string, patch: PatchCertificate): Promise<void>;
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
  const bring = createBringOne({ store, sealer, known, servesOnDemand, mustBeProven, now });

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

  async function label(
    origin: WriteOrigin,
    id: string,
    edit: (before: PutCertificate) => PutCertificate,
  ): Promise<void> {
    await writeInTurn(store, [recordKey('certificate', id)], async () => {
      const { certificate } = await findOwn(origin, id);
      if (certificate === null || !isBrought(certificate))
        throw wrongState(
          id,
          `certificate "${id}" is managed: whose it is, and what is kept beside it, are those of the routes of its host; change them there`,
        );
      origin.condition?.(certificate.revision);
      const { tenant, metadata, ...others } = certificate.value;
      const before = { ...(tenant !== undefined && { tenant }), ...(metadata !== undefined && { metadata }) };
      const edited = edit(before);
      const owner = ownTenant(origin.bounds, edited.tenant);
      const after = {
        ...(owner !== undefined && { tenant: owner }),
        ...(edited.metadata !== undefined && { metadata: edited.metadata }),
      };
      if (sameJson(before, after)) return;
      await commit(store, {
        ...origin,
        checks: checksOf({ certificate, order: null }),
        changes: [putCertificate(id, { ...others, ...after })],
      });
    });
  }

  function merged(before: PutCertificate, patch: PatchCertificate): PutCertificate {
    const { success, data, error } = PutCertificate.safeParse(mergePatch(before, patch));
    if (!success) throw toInvalidRequest(error);
    return data;
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

  return {
    bring,
    put: (origin, id, body) => label(origin, id, () => body),
    patch: (origin, id, patch) => label(origin, id, (before) => merged(before, patch)),
    remove,
    renew,
    revoke,
  };
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
