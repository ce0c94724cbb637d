import {
  type Attempts,
  type Certificate,
  type OrderRecord,
  recordFault,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore, Page, PageRequest } from '@lockstep/store';
import type { Fleet, FleetView } from '../fleet/fleet.ts';
import { inEpoch } from '../fleet/serving.ts';
import { iso } from '../time/iso.ts';
import { isBrought } from './brought.ts';
import { expiresSoonFrom } from './certificate-record.ts';
import { certificateNotFound } from './certificate-service.ts';
import { deriveCertificateStatus } from './certificate-status.ts';
import { certificatesOfTenant } from './own-certificates.ts';

/** Certificates as the API shows them, those not issued yet too: what is stored, and what the fleet last said of it. */
export interface CertificateView {
  /** Throws `not_found`. */
  get(id: string): Promise<Certificate>;
  /** By id, managed and brought ones in one order; with `tenant` those of one tenant. */
  list(page: PageRequest, tenant?: string): Promise<Page<Certificate>>;
  /**
   * Of these those with an error, or that wait for the DNS, whatever is served meanwhile. A page looks through some thousand
   * certificates at the most, so it may have fewer than `limit`, or none, and a next one all the same.
   */
  listFailing(page: PageRequest, tenant?: string): Promise<Page<Certificate>>;
  /** The last attempts, the newest first. Throws `not_found`. */
  attempts(id: string, options?: { links?: boolean }): Promise<Attempts>;
}

export interface CertificateViewOptions {
  store: ConfigStore;
  fleet: Fleet;
}

const pageSize = 500;
/** A page of failing ones looks through no more, so that it is answered while somebody waits. */
const mostLooked = 5_000;

interface Records {
  order: StoredRecord<'order'> | null;
  certificate: StoredRecord<'certificate'> | null;
}

export function createCertificateView({ store, fleet }: CertificateViewOptions): CertificateView {
  async function find(id: string): Promise<Records> {
    const [order, certificate] = await Promise.all([store.get('order', id), store.get('certificate', id)]);
    if (order === null && certificate === null) throw certificateNotFound(id);
    return { order, certificate };
  }

  async function listOfTenant(
    { limit, cursor = '' }: PageRequest,
    tenant: string,
  ): Promise<Page<Certificate>> {
    const left = (await certificatesOfTenant(store, tenant)).filter((id) => id > cursor);
    const ids = left.slice(0, limit);
    const next = left.length > limit ? (ids.at(-1) ?? null) : null;
    const { epoch } = store;
    const [orders, certificates] = await Promise.all([
      store.getMany('order', ids),
      store.getMany('certificate', ids),
    ]);
    const view = inEpoch(await fleet.judge(), epoch);
    const items = ids.flatMap((id, index) => {
      const records = { order: orders[index] ?? null, certificate: certificates[index] ?? null };
      return records.order === null && records.certificate === null ? [] : [present(id, records, view)];
    });
    return { items, next };
  }

  async function list({ limit, cursor }: PageRequest, tenant?: string): Promise<Page<Certificate>> {
    if (tenant !== undefined) return listOfTenant({ limit, cursor }, tenant);
    // The first ids of both kinds together are among the first of each.
    const page = { limit, cursor };
    const { epoch } = store;
    const [orders, certificates] = await Promise.all([
      store.list('order', page),
      store.list('certificate', page),
    ]);
    const byId = new Map<string, Records>();
    for (const order of orders.items) byId.set(order.id, { order, certificate: null });
    for (const certificate of certificates.items)
      byId.set(certificate.id, { order: byId.get(certificate.id)?.order ?? null, certificate });
    const ids = [...byId.keys()].sort();
    const shown = ids.slice(0, limit);
    const more = ids.length > limit || orders.next !== null || certificates.next !== null;
    const view = inEpoch(await fleet.judge(), epoch);
    return {
      items: shown.map((id) => present(id, byId.get(id) ?? { order: null, certificate: null }, view)),
      next: more ? (shown.at(-1) ?? null) : null,
    };
  }

  return {
    async get(id) {
      const { epoch } = store;
      const records = await find(id);
      return present(id, records, inEpoch(await fleet.judge(), epoch));
    },

    list,

    async listFailing({ limit, cursor }, tenant) {
      const found: Certificate[] = [];
      let next: string | null = cursor ?? '';
      for (let looked = 0; looked < mostLooked && next !== null; looked += pageSize) {
        const page: Page<Certificate> = await list({ limit: pageSize, cursor: next }, tenant);
        found.push(...page.items.filter(isFailing));
        const last = found[limit - 1];
        if (last !== undefined && (found.length > limit || page.next !== null))
          return { items: found.slice(0, limit), next: last.id };
        next = page.next;
      }
      return { items: found, next };
    },

    async attempts(id, { links = false } = {}) {
      await find(id);
      const attempts = (await store.get('attempts', id))?.value.attempts ?? [];
      return {
        items: attempts.map(({ link, ...attempt }) => (links && link ? { ...attempt, link } : attempt)),
      };
    },
  };
}

function isFailing({ lastError, state }: Certificate): boolean {
  return lastError !== null || state === 'waiting_for_dns';
}

/** One that cannot be read is shown as none, with what is wrong with it: it hides no other. */
function present(id: string, records: Records, view: FleetView): Certificate {
  const fault = records.certificate === null ? null : recordFault(records.certificate);
  if (fault === null) return presentReadable(id, records, view);
  const detail = `the record of this certificate ${fault}; renew it, or delete it`;
  const lastError = { detail, issuer: null, step: null, type: null, at: iso(view.now) };
  return { ...presentReadable(id, { ...records, certificate: null }, view), state: 'failed', lastError };
}

function presentReadable(id: string, { order, certificate }: Records, view: FleetView): Certificate {
  const value = certificate?.value;
  const host = order?.value.host ?? value?.host ?? id;
  return {
    ...deriveCertificateStatus({ host, order, certificate, brought: null }, view),
    origin: certificate !== null && isBrought(certificate) ? 'brought' : 'managed',
    names: value?.names ?? [host],
    issuer: value?.issuer ?? order?.value.issuer ?? null,
    serialNumber: value?.serialNumber ?? null,
    fingerprint256: value?.fingerprint256 ?? null,
    notBefore: value?.notBefore ?? null,
    renewAt: value === undefined || order === null ? null : renewAtOf(order.value),
    renewal: value === undefined ? null : (order?.value.renewal ?? null),
    renewalWindow: order === null ? null : windowOf(order.value),
    revokedAt: value?.revokedAt ?? null,
    expiresSoon: value !== undefined && view.now > expiresSoonFrom(value),
    revision: certificate?.revision ?? null,
    chain: value?.chain ?? null,
    ...(value?.tenant === undefined ? {} : { tenant: value.tenant }),
    ...(value?.metadata === undefined ? {} : { metadata: value.metadata }),
  };
}

/** Orders of an earlier version tell it by `dueAt` alone. */
function renewAtOf({ renewAt, step, unusedSince, lastError, dueAt }: OrderRecord): string | null {
  if (unusedSince !== null) return null;
  return renewAt ?? (step === 'idle' && lastError === null ? dueAt : null);
}

function windowOf({ ari }: OrderRecord): Certificate['renewalWindow'] {
  return ari?.window ?? null;
}
