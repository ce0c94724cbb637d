import type { RouteHealth } from '@lockstep/contract';
import type { HealthVerdict } from '../../engine/upstream-health.ts';
import type { FailureCause } from './failure-cause.ts';

/** So long after its last failure an upstream is looked at more closely. */
const suspectMs = 60_000;

type PassiveCheck = NonNullable<RouteHealth['passive']>;

/** What a worker knows of the health of an upstream; all routes that know it by the same question share it. */
export class WatchedHealth {
  readonly key: string;
  /** How many upstreams of routes look at it. */
  users = 0;
  recoveredAt = 0;
  /** Called when `available` changed, or what it depends on. */
  readonly listeners = new Set<() => void>();
  readonly #passive: PassiveCheck | null;
  readonly #onFailing: (health: WatchedHealth, cause: string) => void;
  #well = true;
  #restsUntil = 0;
  #restTimer: NodeJS.Timeout | undefined;
  /** Until then it is looked at whether its rest did it good; 0: it is not. */
  #trialUntil = 0;
  /** Until then it is remembered that it failed, or was not well. */
  #suspectUntil = 0;
  /** When requests failed, as far back as is counted. */
  #failures: number[] = [];

  constructor(
    key: string,
    passive: PassiveCheck | undefined,
    onFailing: (health: WatchedHealth, cause: string) => void,
  ) {
    this.key = key;
    this.#passive = passive ?? null;
    this.#onFailing = onFailing;
  }

  get available(): boolean {
    return this.#well && this.#restsUntil === 0;
  }

  /** By the active checks. */
  get well(): boolean {
    return this.#well;
  }

  onTrial(now: number): boolean {
    return now < this.#trialUntil;
  }

  /** Nothing went well there since its rest. */
  get untried(): boolean {
    return this.#trialUntil !== 0;
  }

  /** It failed of late: what it answers may break off. */
  isSuspect(): boolean {
    return this.#suspectUntil !== 0 && Date.now() < this.#suspectUntil;
  }

  take({ well, recoveredAt, restsUntil }: HealthVerdict, now: number): void {
    this.#well = well;
    if (!well || recoveredAt !== 0 || restsUntil !== 0) this.#suspectUntil = now + suspectMs;
    this.recoveredAt = recoveredAt;
    this.#rest(restsUntil, now);
    this.#tell();
  }

  /** A request had an answer that was complete. */
  onAnswered(statusCode: number): void {
    if (statusCode >= 500 && statusCode !== 501 && statusCode !== 505) {
      this.#count(`it answered ${statusCode}`);
    } else if (this.#trialUntil !== 0) {
      this.#trialUntil = 0;
      this.#tell();
    }
  }

  /** A request failed by the upstream. */
  onFailed(cause: FailureCause): void {
    const words = countedCauses[cause];
    if (words === undefined) return;
    this.#suspectUntil = Date.now() + suspectMs;
    this.#count(words);
  }

  #count(words: string): void {
    const passive = this.#passive;
    if (passive === null || this.#restsUntil !== 0) return;
    const now = Date.now();
    this.#failures = this.#failures.filter((at) => now - at < passive.withinMs);
    this.#failures.push(now);
    if (this.#failures.length < passive.failures && !this.onTrial(now)) return;
    // Until the supervisor has said for how long: it is the same for all workers.
    this.#rest(now + passive.coolDownMs, now);
    this.#onFailing(this, words);
    this.#tell();
  }

  #rest(until: number, now: number): void {
    if (until === this.#restsUntil) return;
    const rested = this.#restsUntil !== 0;
    clearTimeout(this.#restTimer);
    this.#restsUntil = until > now ? until : 0;
    if (this.#restsUntil !== 0) {
      this.#failures = [];
      this.#restTimer = setTimeout(this.#endRest, until - now).unref();
    } else if (rested) this.#trialUntil = now + (this.#passive?.coolDownMs ?? 0);
  }

  #endRest = (): void => {
    const now = Date.now();
    this.recoveredAt = now;
    this.#rest(0, now);
    this.#tell();
  };

  #tell(): void {
    for (const listener of this.listeners) listener();
  }

  close(): void {
    clearTimeout(this.#restTimer);
  }
}

/** Failures that speak against an upstream, in words for operators. */
const countedCauses: Partial<Record<FailureCause, string>> = {
  upstream_name_not_found: 'the name has no address',
  upstream_name_unresolved: 'the name could not be looked up',
  upstream_refused: 'connection refused',
  upstream_unreachable: 'no way leads to the address',
  upstream_timeout_connect: 'no connection in time',
  upstream_tls_failed: 'the TLS handshake failed',
  upstream_certificate_untrusted: 'its certificate is not trusted',
  upstream_certificate_expired: 'its certificate has expired',
  upstream_certificate_name: 'its certificate is for another name',
  upstream_reset: 'the connection was reset',
  upstream_closed: 'the connection was closed',
  upstream_timeout_first_byte: 'no answer in time',
  upstream_timeout_body: 'its answer stopped',
  upstream_head_invalid: 'its answer is no HTTP/1.1',
  upstream_http2_invalid: 'it does not speak HTTP/2',
  upstream_body_invalid: 'its answer breaks its own framing',
};
