import {
  type EventDraft,
  namedHosts,
  type RouteStatus,
  recordFault,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Fleet } from '../fleet/fleet.ts';
import { inEpoch } from '../fleet/serving.ts';
import { readHostRecords } from '../routes/host-records.ts';
import { deriveRouteStatus, wasLookedAt } from '../routes/route-status.ts';
import type { Observation } from './teller.ts';

/** The states that callers are told of: the others pass. */
const told = {
  live: 'route.live',
  failed: 'route.failed',
  waiting_for_dns: 'route.waiting_for_dns',
  waiting_for_ownership: 'route.waiting_for_ownership',
} as const satisfies Partial<Record<RouteStatus['state'], EventDraft['type']>>;

export interface ObservedRoutes {
  observations: Observation[];
  /** Those that wait for nothing but nodes: what these report decides. */
  deploying: Set<string>;
}

/** How routes stand, as the API would show them now. */
export async function observeRoutes(
  store: ConfigStore,
  fleet: Pick<Fleet, 'view' | 'judge'>,
  ids: readonly string[],
): Promise<ObservedRoutes> {
  const { epoch } = store;
  const records = await store.getMany('route', [...ids]);
  const routes = records.flatMap((record) =>
    record === null || recordFault(record) !== null ? [] : [record],
  );
  const recordsOf = await readHostRecords(store, routes, fleet.view().now);
  const view = inEpoch(await fleet.judge(), epoch);
  const deploying = new Set<string>();
  const observations = ids.flatMap((id, index): Observation[] => {
    const record = records[index] ?? null;
    const key = `route/${id}`;
    if (record === null) return [{ key, state: null, check: { kind: 'route', id, revision: null } }];
    if (recordFault(record) !== null) return [];
    const named = recordsOf(record);
    const { status } = deriveRouteStatus(record, named, view);
    if (status.state === 'deploying') deploying.add(id);
    const type = (told as Partial<Record<string, EventDraft['type']>>)[status.state];
    if (type === undefined) return [];
    // The first look is made at once: whoever has proven the host before hears of no wait.
    const looked = named.some((host) => host.waits === true && wasLookedAt(host));
    if (status.state === 'waiting_for_ownership' && !looked) return [];
    return [
      {
        key,
        state: status.state,
        mark: String(record.revision),
        events: () => [eventOf(type, record, status)],
        check: { kind: 'route', id, revision: record.revision },
      },
    ];
  });
  return { observations, deploying };
}

function eventOf(
  type: EventDraft['type'],
  { id, revision, value }: StoredRecord<'route'>,
  { state, reason, certificates, dnsRequirements, nodes }: RouteStatus,
): EventDraft {
  const waiting = state === 'waiting_for_dns' || state === 'waiting_for_ownership' ? { dnsRequirements } : {};
  return {
    type,
    subject: { kind: 'route', id },
    tenant: value.tenant,
    data: {
      hosts: namedHosts(value),
      routes: [id],
      revision,
      state,
      reason: reason ?? null,
      nodes: { live: nodes.live, of: nodes.of },
      certificates: certificates.map(({ host, state, notAfter, lastError, nextAttemptAt }) => ({
        host,
        state,
        notAfter,
        lastError: lastError?.detail ?? null,
        nextAttemptAt,
      })),
      ...waiting,
    },
  };
}
