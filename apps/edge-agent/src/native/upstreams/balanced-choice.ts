import type { RouteBalance } from '@lockstep/contract';
import { cookieOf, fieldOf } from './request-cookie.ts';
import type { StickyCookie } from './sticky-cookie.ts';
import { hashOf, mixed } from './text-hash.ts';
import type { ChoiceRequest, UpstreamChoice } from './upstream-choice.ts';
import type { UpstreamMember } from './upstream-member.ts';

/** Takes one of those that may be taken, of which there is one at least. */
type Policy = (candidates: readonly UpstreamMember[], request: ChoiceRequest) => UpstreamMember;

export interface BalancedChoiceOptions {
  members: readonly UpstreamMember[];
  balance: RouteBalance;
  sticky: StickyCookie | null;
  /** Where no upstream is well, all are tried. */
  tryAll: boolean;
  /** Of the choice that this one takes the place of. */
  turn?: number;
}

/**
 * Chooses by weights, policy, cookie and health. Of the upstreams that are well, backups come after all others; one that is known to be dead gets
 * nothing, unless all are.
 */
export class BalancedChoice implements UpstreamChoice {
  readonly #options: BalancedChoiceOptions;
  readonly #policy: Policy;
  /** Those that may be taken when nothing was tried, as it stood when their health changed last. */
  #candidates: readonly UpstreamMember[] = [];
  /** Some of them may be taken at times alone. */
  #unsteady = false;
  /** Shares of turns differ, or grow. */
  #weighted = false;
  #warmUntil = 0;
  #turn: number;

  constructor(options: BalancedChoiceOptions) {
    this.#options = options;
    this.#turn = options.turn ?? 0;
    this.#policy = this.#policyOf(options.balance);
    this.refresh();
  }

  get turn(): number {
    return this.#turn;
  }

  /** To be called when the health of a member changed. */
  refresh(): void {
    const { members } = this.#options;
    const now = Date.now();
    this.#warmUntil = Math.max(0, ...members.map(({ warmUntil }) => warmUntil));
    this.#unsteady = members.some(({ health }) => health?.onTrial(now) === true);
    this.#candidates = this.#eligible(anyRequest, null, now);
    const weight = this.#candidates[0]?.weight;
    this.#weighted = this.#candidates.some((member) => member.weight !== weight);
  }

  choose(request: ChoiceRequest, tried: ReadonlySet<number> | null): number {
    const { sticky, members } = this.#options;
    const now = this.#unsteady || tried !== null ? Date.now() : 0;
    if (this.#unsteady && !members.some(({ health }) => health?.onTrial(now) === true)) this.refresh();
    if (sticky !== null) {
      const member = members[sticky.placeOf(request)];
      if (member?.available(now, request) && !tried?.has(member.place)) return member.place;
    }
    const candidates =
      tried === null && !this.#unsteady ? this.#candidates : this.#eligible(request, tried, now);
    if (candidates.length === 0) return -1;
    return candidates.length === 1 ? candidates[0]!.place : this.#policy(candidates, request).place;
  }

  #eligible(
    request: { mayGoTwice: boolean },
    tried: ReadonlySet<number> | null,
    now: number,
  ): readonly UpstreamMember[] {
    const { members, tryAll } = this.#options;
    const left = members.filter(({ place }) => !tried?.has(place));
    const takers = left.filter(({ weight }) => weight > 0);
    const free = takers.filter((member) => member.available(now, request));
    const first = free.filter(({ backup }) => !backup);
    if (first.length > 0) return first;
    if (free.length > 0) return free;
    // Those under trial have one request already, or it is none for them.
    const well = takers.filter(({ health }) => health?.available !== false);
    if (well.length > 0) return well;
    const someWell = members.some(({ health, weight }) => weight > 0 && health?.available !== false);
    return someWell || !tryAll ? [] : takers;
  }

  #policyOf({ policy, hash }: RouteBalance): Policy {
    if (policy === 'first') return (candidates) => candidates[0]!;
    if (policy === 'least_requests') return this.#leastRequests;
    if (policy === 'random_two') return this.#randomTwo;
    if (policy === 'hash' && hash !== undefined) {
      const keyOf = keyBy(hash);
      return (candidates, request) => {
        const key = keyOf(request);
        return key === null ? this.#inTurn(candidates) : rendezvous(candidates, hashOf(key));
      };
    }
    return this.#inTurn;
  }

  /** By weights, spread as evenly as can be: who is furthest behind its share is next. */
  #inTurn = (candidates: readonly UpstreamMember[]): UpstreamMember => {
    if (!this.#weighted && this.#warmUntil === 0) {
      this.#turn = (this.#turn + 1) % 0x4000_0000;
      return candidates[this.#turn % candidates.length]!;
    }
    const now = this.#now();
    let best = candidates[0]!;
    let total = 0;
    for (const member of candidates) {
      const share = member.share(now);
      total += share;
      member.load.credit += share;
      if (member.load.credit > best.load.credit) best = member;
    }
    best.load.credit -= total;
    return best;
  };

  /** Of those that have equally few, one after the other. */
  #leastRequests = (candidates: readonly UpstreamMember[]): UpstreamMember => {
    const now = this.#now();
    this.#turn = (this.#turn + 1) % 0x4000_0000;
    let best = candidates[this.#turn % candidates.length]!;
    let least = burden(best, now);
    for (let i = 1; i < candidates.length; i += 1) {
      const member = candidates[(this.#turn + i) % candidates.length]!;
      const own = burden(member, now);
      if (own >= least) continue;
      best = member;
      least = own;
    }
    return best;
  };

  #randomTwo = (candidates: readonly UpstreamMember[]): UpstreamMember => {
    const now = this.#now();
    const one = drawn(candidates, null, now);
    const other = drawn(candidates, one, now);
    return burden(other, now) < burden(one, now) ? other : one;
  };

  #now(): number {
    if (this.#warmUntil === 0) return 0;
    const now = Date.now();
    if (now >= this.#warmUntil) this.#warmUntil = 0;
    return now;
  }
}

/** Where none is on trial. */
const anyRequest = { mayGoTwice: true };

/** Requests for each part of its weight, with the one that would come. */
function burden(member: UpstreamMember, now: number): number {
  return (member.load.inFlight + 1) / member.share(now);
}

/** At random, by weight. */
function drawn(
  candidates: readonly UpstreamMember[],
  besides: UpstreamMember | null,
  now: number,
): UpstreamMember {
  let total = 0;
  for (const member of candidates) if (member !== besides) total += member.share(now);
  let left = Math.random() * total;
  let last = candidates[0]!;
  for (const member of candidates) {
    if (member === besides) continue;
    last = member;
    left -= member.share(now);
    if (left < 0) break;
  }
  return last;
}

/** Where one is taken out or put in, only its own share of the keys moves. */
function rendezvous(candidates: readonly UpstreamMember[], key: number): UpstreamMember {
  let best = candidates[0]!;
  let most = Number.NEGATIVE_INFINITY;
  for (const member of candidates) {
    const score = -member.weight / Math.log(mixed(key, member.seed));
    if (score <= most) continue;
    best = member;
    most = score;
  }
  return best;
}

/** What requests are told apart by; null for one that does not have it. */
function keyBy({
  by,
  name = '',
}: NonNullable<RouteBalance['hash']>): (request: ChoiceRequest) => string | null {
  if (by === 'cookie') return ({ headers }) => cookieOf(headers, name);
  if (by === 'client_address') return ({ clientAddress }) => clientAddress;
  const lower = name.toLowerCase();
  return ({ headers }) => fieldOf(headers, lower);
}
