import {
  isAppError,
  type OwnershipRecord,
  ownershipId,
  type PutSettings,
  type RouteRecord,
  recordKey,
  type StoredRecord,
  waitingClaimPrefix,
} from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { broughtOf } from '../certificates/brought.ts';
import { putCertificate } from '../certificates/certificate-record.ts';
import { routesNaming } from '../certificates/tenants-of-host.ts';
import { commit, inTurn } from '../changes/writes.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import type { TakeHost } from '../ownership/ownership-checks.ts';
import type { OwnershipTokens } from '../ownership/ownership-tokens.ts';
import { requirementsOf } from '../ownership/proofs.ts';
import { newOwnership, putOwnership } from '../ownership/put-ownership.ts';
import { iso } from '../time/iso.ts';
import { createRouteOrders } from './route-orders.ts';
import { putRoute } from './route-record.ts';

/** When the one who lost a host is looked at again. */
const lookAgainMs = 60_000;
const routesAtOnce = 200;

export interface TakeHostOptions {
  store: ConfigStore;
  queue: Pick<OrderQueue, 'enter'>;
  tokens: OwnershipTokens;
  settings(): Pick<PutSettings, 'ownership'>;
  defaultIssuer(): string | null;
  now: () => number;
}

/**
 * Has the routes of a tenant serve a host that waited, and those of others no longer: they wait from then on. All of it is one commit, with the
 * order of the host, which every route that comes to name it or goes changes too.
 */
export function createTakeHost({
  store,
  queue,
  tokens,
  settings,
  defaultIssuer,
  now,
}: TakeHostOptions): TakeHost {
  const orders = createRouteOrders({ store, queue, now });

  return async ({ ownership, proven, requirements, losers, lease }) => {
    const { host, tenant } = ownership.value;
    const waiting = await routesWaiting(host, tenant);
    const ids = waiting.map(({ id }) => id);
    return inTurn(store, [recordKey('order', host)], async () => {
      const first = waiting[0];
      if (first === undefined) return 'changed';
      const { waitedUntil } = ownership.value;
      const waitMs = waitedUntil === null ? null : Math.max(0, Date.parse(waitedUntil) - now());
      const asks = first.value.issuers?.[0] ?? defaultIssuer();
      const ofHost = await orders.changesFor(first.id, [], [host], { asks, waitMs });
      const obtained = losers === null ? null : await store.get('certificate', host);
      // After the order was read: whoever takes the host meanwhile changes it.
      const serving = (await routesNaming(store, host)).filter(({ id }) => !ids.includes(id));
      const isOwn = ({ value }: StoredRecord<'route'>) => (value.tenant ?? null) === tenant;
      const others = losers === null ? [] : serving.filter((route) => !isOwn(route));
      if (losers === null && !serving.some(isOwn)) return 'changed'; // it lost the host meanwhile
      if (others.some(({ value }) => losers?.includes(value.tenant ?? null) !== true)) return 'changed';
      const lost = await Promise.all((losers ?? []).map((loser) => lostOf(host, loser)));
      const trimmed = losers === null ? [] : await withoutTheirs(host, tenant);
      // What others brought is taken from them by the TXT record alone, as a host that they serve is.
      if (proven?.by !== 'txt' && trimmed.some(isInForce)) return 'changed';
      // Where more wait than go into one commit, it goes on with the rest.
      const dueAt = waiting.length < routesAtOnce ? null : iso(now());
      const own: Change =
        proven === null
          ? { op: 'delete', kind: 'ownership', id: ownership.id }
          : putOwnership({ ...ownership.value, proven, requirements, detail: '', dueAt });
      const checks: Check[] = [
        { kind: 'ownership', id: ownership.id, revision: ownership.revision },
        ...[...waiting, ...others, ...trimmed].map(({ kind, id, revision }) => ({ kind, id, revision })),
        ...lost.map(({ id, revision }): Check => ({ kind: 'ownership', id, revision })),
        ...ofHost.checks,
      ];
      const changes: Change[] = [
        ...waiting.map(({ id, value }) => putRoute(id, without(value, host))),
        ...others.map(({ id, value }) => putRoute(id, withUnproven(value, host))),
        ...trimmed.map(({ id, value }) =>
          putCertificate(id, { ...value, names: value.names?.filter((name) => name !== host) }),
        ),
        ...lost.map(({ value }) => putOwnership(value)),
        own,
        ...(obtained === null ? ofHost.changes : ofHost.changes.map(obtainedAnew)),
      ];
      try {
        const by = { kind: 'ownership' } as const;
        await commit(store, { by, cause: ownership.revision, lease, checks, changes });
        return 'taken';
      } catch (error) {
        if (isAppError(error, 'revision_conflict')) return 'changed';
        if (isAppError(error, 'host_taken')) return 'twice';
        if (isAppError(error, 'commit_too_large')) return 'too_many';
        throw error;
      }
    });
  };

  async function routesWaiting(host: string, tenant: string | null): Promise<StoredRecord<'route'>[]> {
    const holders = await store.findClaims(waitingClaimPrefix(host, tenant), routesAtOnce);
    const routes = await store.getMany('route', [...new Set(holders.map(({ id }) => id))]);
    return routes.filter((route) => route !== null);
  }

  /** How the host stands from now on for one who had it. */
  async function lostOf(
    host: string,
    tenant: string | null,
  ): Promise<{ id: string; revision: number | null; value: OwnershipRecord }> {
    const id = ownershipId(host, tenant);
    const record = await store.get('ownership', id);
    const known = record?.value ?? newOwnership({ host, tenant, now: now() });
    const policy = (known.policy ?? settings().ownership) === 'http' ? 'http' : 'txt';
    const value: OwnershipRecord = {
      ...known,
      proven: null,
      since: iso(now()),
      checks: 1,
      detail: `somebody else has proven that ${host} is theirs, and it is no longer served by this route`,
      requirements: await requirementsOf(tokens, { host, tenant }, policy),
      dueAt: iso(now() + lookAgainMs),
    };
    return { id, revision: record?.revision ?? null, value };
  }

  /** Who had the host may have the key of its certificate, and may have brought any: it is served only until there is another. */
  function obtainedAnew(change: Change): Change {
    if (change.kind !== 'order' || change.op !== 'put' || change.value.step !== 'idle') return change;
    return putOrder(change.id, { ...forgetFailures(change.value, now()), renewal: 'asked' });
  }

  function isInForce({ value: { notBefore, notAfter } }: StoredRecord<'certificate'>): boolean {
    return Date.parse(notBefore) <= now() && Date.parse(notAfter) > now();
  }

  /** The certificates that others brought for the host, which edges would serve before any that is obtained for it. */
  async function withoutTheirs(host: string, tenant: string | null): Promise<StoredRecord<'certificate'>[]> {
    const brought = await broughtOf(store, host);
    return brought.filter(
      ({ value }) => value.names?.includes(host) && value.tenant !== undefined && value.tenant !== tenant,
    );
  }
}

function without({ unproven = [], ...route }: RouteRecord, host: string): RouteRecord {
  const left = unproven.filter((one) => one !== host);
  return left.length === 0 ? route : { ...route, unproven: left };
}

function withUnproven(route: RouteRecord, host: string): RouteRecord {
  return { ...route, unproven: [...(route.unproven ?? []), host] };
}
