import type { Boundary } from '@lockstep/contract';
import type { OwnHandshake } from './own-handshake.ts';

const lookIntervalMs = 5_000;
const lookAgainMs = 2_000;
/** One that is not answered may have met a moment's load. */
const faultsToTell = 2;

export interface ListenerWatchOptions {
  handshake: OwnHandshake;
  /** Whether there is a worker that should answer. */
  ready(): boolean;
  /** Called when `fault` came or went. */
  onChange(): void;
  boundary: Boundary;
  /** Between two looks; default 5 s. */
  intervalMs?: number;
  /** After one that was not answered; default 2 s. */
  againMs?: number;
}

/** Shakes hands with the edge's own listener now and then: workers may beat while nobody gets through to them. */
export interface ListenerWatch {
  /** Why the last handshakes were not answered; null: they were, or there is no worker to answer. */
  readonly fault: string | null;
  close(): void;
}

export function createListenerWatch(options: ListenerWatchOptions): ListenerWatch {
  const { handshake, ready, onChange, boundary } = options;
  const { intervalMs = lookIntervalMs, againMs = lookAgainMs } = options;
  let faults = 0;
  let fault: string | null = null;
  let closed = false;
  let timer = setTimeout(boundary.guard('listener', look), intervalMs);

  async function look(): Promise<void> {
    const found = ready() ? await handshake.check() : null;
    if (closed) return;
    faults = found === null ? 0 : faults + 1;
    timer = setTimeout(boundary.guard('listener', look), found === null ? intervalMs : againMs);
    const told = faults >= faultsToTell ? found : null;
    if (told === fault) return;
    fault = told;
    onChange();
  }

  return {
    get fault() {
      return fault;
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
