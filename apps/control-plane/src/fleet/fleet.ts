import { EventEmitter } from 'node:events';
import {
  type Boundary,
  createBoundary,
  type EdgeSettings,
  type NodePresence,
  nodeLostAfterMs,
  type PutSettings,
  type SeenTraffic,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { FleetAddresses } from '../dns/fleet-addresses.ts';
import { iso } from '../time/iso.ts';
import { createSharedRun, createTurnRun } from '../time/shared-run.ts';
import { type NeededRecord, type NodeStanding, standingOf, whyNotServed } from './serving.ts';
import type { StoreClock } from './store-clock.ts';

/** A node this far behind a challenge's revision no longer holds up the orders of the fleet. */
const challengePatienceMs = 15_000;
const refreshIntervalMs = 2_000;
/** After a node that fell silent counts as lost. */
const lostMarginMs = 50;

/** What is needed to tell what is live. */
export interface FleetView {
  /** The epoch of the history that the nodes were compared with. */
  epoch: string | null;
  /** The expected nodes, lost ones too, by id; without those that are drained. */
  nodes: readonly NodeStanding[];
  /** They take no traffic, and nothing waits for them. */
  drained: readonly NodeStanding[];
  liveNeeds: PutSettings['liveNeeds'];
  /** What routes have that they do not say themselves. */
  defaults: EdgeSettings['defaults'];
  /** Where hosts have to lead; empty: it is not asked. */
  edgeAddresses: PutSettings['edgeAddresses'];
  /** What names among these resolve to, as far as that is known. */
  fleetAddresses: SeenTraffic['fleet'];
  /** Milliseconds since 1970 by the store's clock. */
  now: number;
  /** Why this control plane issues nothing; null: it does. */
  issuesNothing: string | null;
}

/** The nodes as the store last told. Kept current by reports as they come, and read anew every 2 s. */
export interface Fleet {
  /** Those that are expected: heard of, and neither gone for good nor forgotten. By id. */
  nodes(): NodePresence[];
  liveNodes(): NodePresence[];
  /** As the nodes stood on the history when they were heard of: it may have gone back since. */
  view(): FleetView;
  /**
   * As the nodes stand on the history now, at a moment after the call: for what is said of records that were read before it. Throws
   * `store_unavailable`.
   */
  judge(): Promise<FleetView>;
  /** Why the nodes cannot be read, and since when; null while they can. What is told of them is what was known last. */
  trouble(): { since: number; detail: string } | null;
  /** Calls `listener` after a node came, went, reported something else than before, or stands otherwise on the store's history. */
  watch(listener: () => void): () => void;
  /**
   * Waits until every live node serves `record`. One that holds back a snapshot, refused the record or is still behind after 15 s is
   * not waited for; the ids of those are returned. Null when after 15 s no node at all serves it, and once the history that it was
   * read in went back. Throws when `signal` aborts.
   */
  applied(record: NeededRecord, signal: AbortSignal): Promise<string[] | null>;
  /** Expects the node no more, unless it reports again. */
  forget(node: string): Promise<void>;
  refresh(): Promise<void>;
  close(): void;
}

export interface FleetOptions {
  store: ConfigStore;
  clock: StoreClock;
  settings(): Pick<PutSettings, 'liveNeeds' | 'forgetNodesAfter' | 'edge' | 'edgeAddresses'>;
  addresses?: FleetAddresses;
  log: Logger;
  boundary?: Boundary;
}

interface Heard {
  presence: NodePresence;
  /** Worked out once: of a hundred nodes one reports at a time. */
  standing: NodeStanding;
  /** Which of the things heard this was: a list that was asked for earlier does not take its place. */
  turn: number;
}

/** Throws `store_unavailable` when the nodes cannot be read at the start; nothing is left running then. */
export async function createFleet({
  store,
  clock,
  settings,
  addresses,
  log,
  boundary = createBoundary(log),
}: FleetOptions): Promise<Fleet> {
  const emitter = new EventEmitter().setMaxListeners(0);
  let known = new Map<string, Heard>();
  let standings: NodeStanding[] | null = null;
  let turn = 0;
  let closed = false;
  let trouble: ReturnType<Fleet['trouble']> = null;
  let timer: NodeJS.Timeout | undefined;

  function changed(): void {
    standings = null;
    emitter.emit('change');
  }

  function hear(presence: NodePresence): void {
    const { node, instance } = presence.report;
    const before = known.get(node)?.presence;
    // Two reads at once may end in the other order; the next list tells what is right.
    if (before?.report.instance === instance && before.seenAt > presence.seenAt) return;
    turn += 1;
    known.set(node, { presence, standing: standingOf(presence), turn });
    if (before === undefined || digest(before) !== digest(presence)) changed();
  }

  const refresh = createSharedRun(async (): Promise<void> => {
    if (closed) return;
    const asked = turn;
    const listed = new Map<string, Heard>();
    for (const presence of await store.listNodes())
      listed.set(presence.report.node, { presence, standing: standingOf(presence), turn: asked });
    for (const [node, heard] of known) if (heard.turn > asked) listed.set(node, heard);
    const before = known;
    known = listed;
    const same =
      before.size === listed.size &&
      [...listed].every(([node, { presence }]) => {
        const one = before.get(node);
        return one !== undefined && digest(one.presence) === digest(presence);
      });
    if (!same) changed();
    if (trouble !== null) log.info('the nodes can be read again');
    trouble = null;
    schedule();
    await forgetOld();
  });

  async function forgetOld(): Promise<void> {
    const before = clock.now() - settings().forgetNodesAfter * 1_000;
    for (const { live, seenAt, report } of nodes()) {
      if (live || seenAt >= before) continue;
      log.warn({ node: report.node, lastSeenAt: iso(seenAt) }, 'a node lost for so long is expected no more');
      await forget(report.node);
    }
  }

  async function forget(node: string): Promise<void> {
    await store.forgetNode(node);
    if (known.delete(node)) changed();
  }

  /** Again after 2 s, or just when the store would take a silent node for lost. */
  function schedule(): void {
    clearTimeout(timer);
    if (closed) return;
    const silentMs = liveNodes().map(({ seenAt }) => seenAt + nodeLostAfterMs - clock.now());
    const nextMs = Math.max(0, Math.min(...silentMs)) + lostMarginMs;
    timer = setTimeout(look, Math.min(refreshIntervalMs, nextMs));
  }

  function look(): void {
    refresh().catch((error: unknown) => {
      if (trouble === null) log.warn({ err: error }, 'cannot read the nodes; keeping what is known');
      trouble ??= { since: clock.now(), detail: error instanceof Error ? error.message : String(error) };
      clearTimeout(timer);
      if (!closed) timer = setTimeout(look, refreshIntervalMs);
    });
  }

  const byId = () => [...known.values()].sort((a, b) => (a.standing.node < b.standing.node ? -1 : 1));
  const nodes = () => byId().map(({ presence }) => presence);
  const liveNodes = () => nodes().filter((presence) => presence.live);

  function currentStandings(): NodeStanding[] {
    standings ??= byId().map(({ standing }) => standing);
    return standings;
  }

  function viewOf(standings: readonly NodeStanding[]): FleetView {
    const { liveNeeds, edge, edgeAddresses } = settings();
    const { defaults } = edge;
    const nodes = standings.filter((standing) => !standing.drained);
    const drained = standings.filter((standing) => standing.drained);
    const issuesNothing = clock.fault();
    const now = clock.now();
    const fleetAddresses = addresses?.current(edgeAddresses) ?? {};
    const named = { liveNeeds, defaults, edgeAddresses, fleetAddresses };
    return { epoch: store.epoch, nodes, drained, ...named, now, issuesNothing };
  }
  const view = () => viewOf(currentStandings());

  const judge = createTurnRun(async (): Promise<FleetView> => {
    // Of those that are heard of meanwhile it is not known at which moment they were compared.
    const heard = byId();
    const positions = heard.flatMap(({ presence }) => presence.report.applied ?? []);
    const found = await store.standingOf(positions);
    let at = 0;
    let differs = false;
    const judged = heard.map((one) => {
      if (one.presence.report.applied === null) return one.standing;
      const standing = found[at++] ?? 'apart';
      if (standing === one.presence.standing) return one.standing;
      const presence = { ...one.presence, standing };
      const { node } = presence.report;
      const other = { ...one, presence, standing: standingOf(presence) };
      if (known.get(node) === one) {
        known.set(node, other);
        differs = true;
      }
      return other.standing;
    });
    if (differs) changed();
    return viewOf(judged);
  });

  function watch(listener: () => void): () => void {
    const safe = boundary.guard('fleet', listener);
    emitter.on('change', safe);
    return () => emitter.off('change', safe);
  }

  async function applied(record: NeededRecord, signal: AbortSignal): Promise<string[] | null> {
    const { epoch } = store;
    let nudge = () => {};
    let patient = true;
    const unwatchFleet = watch(() => nudge());
    const patience = setTimeout(() => {
      patient = false;
      nudge();
    }, challengePatienceMs);
    const onAbort = () => nudge();
    signal.addEventListener('abort', onAbort);
    try {
      for (;;) {
        signal.throwIfAborted();
        const nudged = new Promise<void>((resolve) => {
          nudge = resolve;
        });
        // What was heard tells that it is too early; only a comparison tells that it is not.
        let answer = whoLacks(view(), record, patient);
        if (answer !== undefined) {
          const judged = await judge();
          if (judged.epoch !== epoch) return null;
          answer = whoLacks(judged, record, patient);
        }
        signal.throwIfAborted();
        if (answer !== undefined) return answer;
        await nudged;
      }
    } finally {
      unwatchFleet();
      clearTimeout(patience);
      signal.removeEventListener('abort', onAbort);
    }
  }

  const unwatchNodes = store.watchNodes(
    boundary.guard('node', (presence) => {
      if (presence === null) look();
      else hear(presence);
    }),
  );
  const unwatchClock = clock.watch(changed);
  function close(): void {
    closed = true;
    unwatchNodes();
    unwatchClock();
    clearTimeout(timer);
  }
  try {
    await refresh();
  } catch (error) {
    close();
    throw error;
  }
  return { nodes, liveNodes, view, judge, trouble: () => trouble, watch, applied, forget, refresh, close };
}

/** As `Fleet.applied`, as the nodes stand; undefined: wait on. */
function whoLacks({ nodes }: FleetView, record: NeededRecord, patient: boolean): string[] | null | undefined {
  const live = nodes.filter(({ connected }) => connected);
  const behind = live.flatMap((standing) => {
    const fault = whyNotServed(standing, [record]);
    return fault === null ? [] : [{ node: standing.node, fault }];
  });
  const waitedFor = patient ? behind.filter(({ fault }) => !fault.lasting) : [];
  if (waitedFor.length === 0 && behind.length < live.length) return behind.map(({ node }) => node);
  return !patient && behind.length === live.length ? null : undefined;
}

function digest({ live, stopped, standing, report }: NodePresence): string {
  const { instance, applied, capabilities, refusals, held, workers, unanswered, drained, upstreams } = report;
  const reported = [instance, applied, capabilities, refusals, held, workers, unanswered, drained?.since];
  return JSON.stringify([live, stopped, standing, ...reported, upstreams]);
}
