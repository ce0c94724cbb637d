import { type OrderRecord, orderLanes } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { ChangeHub } from '../changes/change-hub.ts';
import { registeredDomain } from '../names/registered-domain.ts';
import { iso } from '../time/iso.ts';
import { isPlaced, laneOf } from './order-record.ts';

/** Of an issuer's orders, so many stand in one round: another issuer's next order never has more of them before it. */
const perIssuerAndRound = 16;
/** A place is its round, and within the round the moment it was given, in tenths of a second since 2026. */
const roundWidth = 1e10;
/** Where those stand that come in bulk: behind all others, one after another. */
const bulkRound = 9_999;
const lastRound = bulkRound - 1;
const placesSince = Date.UTC(2026, 0, 1);
const mostKnown = 10_000;
const writtenWithinMs = 1_000;

/**
 * The queue of first attempts, in the store: hosts of one registered domain take turns with those of all others, a round each, however many
 * of them come at once; so an import of thousands stands before one host of another customer with one order, not with thousands. Those that
 * somebody waits for have a lane of their own, which is served first.
 */
export interface OrderQueue {
  /** The order, due now, with a place; unless it has begun, or is nobody's first attempt. */
  enter(order: OrderRecord, options?: EnterOptions): Promise<OrderRecord>;
  close(): void;
}

export interface EnterOptions {
  /** How long somebody waits for it; null: nobody does. */
  waitMs?: number | null;
  /** The issuer that it is going to ask. */
  asks?: string | null;
  /** It is one of very many that nobody looks at one by one: after all others. */
  bulk?: boolean;
}

export interface OrderQueueOptions {
  store: Pick<ConfigStore, 'nextDue'>;
  /** Tells of the places that other control planes give. */
  hub?: Pick<ChangeHub, 'watch'>;
  now?: () => number;
}

/** What was given in one lane. */
interface Rounds {
  /** By domain, its next round. */
  domains: Map<string, number>;
  /** By issuer, how many of its orders stand in each round that has any. */
  issuers: Map<string, Map<number, number>>;
  /** When the last place was given: its order may not be in the store yet. */
  givenAt: number;
}

export function createOrderQueue({ store, hub, now = Date.now }: OrderQueueOptions): OrderQueue {
  const lanes = { waited: noRounds(), first: noRounds() };

  async function place(lane: 'waited' | 'first', host: string, asks: string): Promise<number> {
    const due = await store.nextDue('order', orderLanes[lane]);
    // Whoever comes now goes before those in bulk, as if there were none.
    const next = due === null || roundOf(due) >= bulkRound ? null : due;
    const rounds = lanes[lane];
    const served = next === null ? 0 : roundOf(next);
    if (next === null && now() - rounds.givenAt > writtenWithinMs) forget(rounds);
    else if (rounds.domains.size > mostKnown) forget(rounds, served);
    rounds.givenAt = now();
    const domain = registeredDomain(host);
    const standing = rounds.issuers.get(asks) ?? new Map<number, number>();
    rounds.issuers.set(asks, standing);
    const round = openRound(standing, Math.max(served, rounds.domains.get(domain) ?? 0));
    rounds.domains.set(domain, round + 1);
    standing.set(round, (standing.get(round) ?? 0) + 1);
    return placeIn(round);
  }

  function placeIn(round: number): number {
    return round * roundWidth + Math.max(0, Math.floor((now() - placesSince) / 100));
  }

  const unwatch = hub?.watch((entry) => {
    for (const change of entry?.changes ?? [])
      if (change.op === 'put' && change.kind === 'order' && isPlaced(change.value)) hear(change.value);
  });

  function hear({ host, place, waitedUntil }: OrderRecord): void {
    if (roundOf(place ?? 0) >= bulkRound) return;
    const { domains } = lanes[waitedUntil === null ? 'first' : 'waited'];
    const domain = registeredDomain(host);
    const round = roundOf(place ?? 0) + 1;
    if (round > (domains.get(domain) ?? 0)) domains.set(domain, round);
  }

  return {
    async enter(order, { waitMs = null, asks = null, bulk = false } = {}) {
      const placeable = { ...order, place: order.place ?? 0 };
      if (order.step !== 'idle' || !isPlaced(placeable)) return order;
      const waitedUntil = waitMs === null ? order.waitedUntil : iso(now() + waitMs);
      const known = order.asks ?? asks;
      const lane = laneOf({ ...placeable, waitedUntil }) === 'waited' ? 'waited' : 'first';
      // One that has a place keeps it, where that is better.
      const last = bulk && lane === 'first';
      if (last && order.place !== null) return { ...order, waitedUntil, asks: known };
      const given = last ? placeIn(bulkRound) : await place(lane, order.host, known ?? '');
      return { ...order, waitedUntil, asks: known, place: given };
    },
    close: () => unwatch?.(),
  };
}

function noRounds(): Rounds {
  return { domains: new Map(), issuers: new Map(), givenAt: 0 };
}

/** The first round, from `from` on, with room for another order of an issuer. */
function openRound(standing: Map<number, number>, from: number): number {
  let round = from;
  while ((standing.get(round) ?? 0) >= perIssuerAndRound && round < lastRound) round += 1;
  return Math.min(round, lastRound);
}

/** Forgets what has been served: whoever comes next begins at the round that is served then. */
function forget({ domains, issuers }: Rounds, served = Number.POSITIVE_INFINITY): void {
  for (const [domain, round] of domains) if (round <= served) domains.delete(domain);
  for (const [issuer, standing] of issuers) {
    for (const round of standing.keys()) if (round < served) standing.delete(round);
    if (standing.size === 0) issuers.delete(issuer);
  }
}

function roundOf(place: number): number {
  return Math.floor(place / roundWidth);
}
