import { createHmac, randomBytes } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { readPasswordHash } from '@lockstep/contract';
import type { Guess } from './password-thread.ts';
import { RecentMap } from './recent-map.ts';

/** How long a password that was found right, or wrong, is known to be so without another look, after its last use. */
const rightKeptMs = 600_000;
const wrongKeptMs = 60_000;
const mostRight = 20_000;
const mostWrong = 5_000;
/** Passwords that wait for a look: in all, and of one client. */
const mostWaiting = 256;
const mostOfClient = 4;
const waitsAtMostMs = 10_000;

/** `busy`: too many wait already, of this client or in all. */
export type PasswordVerdict = 'right' | 'wrong' | 'busy';

/**
 * Says whether passwords are right, without keeping the event loop. A look takes tens of milliseconds or more by intention, so it is made in a
 * thread, one at a time. Clients take turns, first those who have not just been wrong. What a look came to is remembered, by a digest with a
 * key that nobody else has.
 */
export interface PasswordChecks {
  /** `client`: on whose account it waits for its turn. */
  check(hash: string, password: string, client: string): PasswordVerdict | Promise<PasswordVerdict>;
  /** Looks that were made in the thread. */
  readonly looks: number;
  close(): void;
}

export interface PasswordChecksOptions {
  onException(place: string, error: unknown): void;
  now?: () => number;
}

interface Look extends Guess {
  digest: string;
  client: string;
  since: number;
  tell: ((verdict: PasswordVerdict) => void)[];
}

export function createPasswordChecks({
  onException,
  now = () => performance.now(),
}: PasswordChecksOptions): PasswordChecks {
  const key = randomBytes(32);
  const right = new RecentMap<true>({ most: mostRight, keptMs: rightKeptMs, now });
  const wrong = new RecentMap<true>({ most: mostWrong, keptMs: wrongKeptMs, now });
  /** Clients that were wrong lately. */
  const guessers = new RecentMap<true>({ most: mostWrong, keptMs: wrongKeptMs, now });
  /** By client, in the order of their turns. */
  const waiting = new Map<string, Look[]>();
  const byDigest = new Map<string, Look>();
  let current: Look | null = null;
  let thread: Worker | null = null;
  let looks = 0;
  let closed = false;

  function check(hash: string, password: string, client: string): PasswordVerdict | Promise<PasswordVerdict> {
    // A hash is of one password for ever: what is remembered never gets wrong, it only gets old.
    const digest = createHmac('sha256', key).update(`${hash}\0${password}`).digest('base64');
    if (right.get(digest) !== undefined) return 'right';
    if (wrong.get(digest) !== undefined) return 'wrong';
    return new Promise((resolve) => {
      const known = byDigest.get(digest);
      if (known !== undefined) {
        known.tell.push(resolve);
        return;
      }
      dropLate();
      const ofClient = waiting.get(client) ?? [];
      if (closed || byDigest.size >= mostWaiting || ofClient.length >= mostOfClient) {
        resolve('busy');
        return;
      }
      const argon2 = argon2Of(hash);
      const look: Look = { hash, argon2, password, digest, client, since: now(), tell: [resolve] };
      byDigest.set(digest, look);
      ofClient.push(look);
      waiting.set(client, ofClient);
      next();
    });
  }

  function next(): void {
    if (current !== null || closed) return;
    dropLate();
    const client = turn();
    if (client === undefined) return;
    const looksOfClient = waiting.get(client)!;
    const look = looksOfClient.shift()!;
    waiting.delete(client);
    if (looksOfClient.length > 0) waiting.set(client, looksOfClient); // behind the others
    current = look;
    looks += 1;
    void start().then(
      (running) => {
        const { hash, argon2, password } = look;
        running.postMessage({ hash, argon2, password } satisfies Guess);
      },
      (error) => {
        onException('passwords', error);
        settle('busy');
      },
    );
  }

  /** Whose look is next: the first of those who have not just been wrong, else the first. */
  function turn(): string | undefined {
    for (const client of waiting.keys()) if (guessers.get(client) === undefined) return client;
    return waiting.keys().next().value;
  }

  async function start(): Promise<Worker> {
    if (thread !== null) return thread;
    const { Worker } = await import('node:worker_threads');
    const started = new Worker(new URL('./password-thread.ts', import.meta.url), { execArgv: [], env: {} });
    thread = started;
    started.unref();
    started.on('message', (isRight: unknown) => settle(isRight === true ? 'right' : 'wrong'));
    started.on('error', (error) => onException('passwords', error));
    // Whatever ended it: the next look starts another one.
    started.on('exit', () => {
      if (thread === started) thread = null;
      settle('busy');
    });
    return started;
  }

  function settle(verdict: PasswordVerdict): void {
    const look = current;
    if (look === null) return;
    current = null;
    if (verdict === 'right') right.set(look.digest, true);
    if (verdict === 'wrong') {
      wrong.set(look.digest, true);
      guessers.set(look.client, true);
    }
    tell(look, verdict);
    next();
  }

  /** Nobody waits for that long; what is left of them would only keep others waiting. */
  function dropLate(): void {
    const before = now() - waitsAtMostMs;
    for (const [client, looksOfClient] of waiting) {
      while (looksOfClient[0] !== undefined && looksOfClient[0].since < before)
        tell(looksOfClient.shift()!, 'busy');
      if (looksOfClient.length === 0) waiting.delete(client);
    }
  }

  function tell(look: Look, verdict: PasswordVerdict): void {
    byDigest.delete(look.digest);
    for (const each of look.tell) each(verdict);
  }

  return {
    check,
    get looks() {
      return looks;
    },
    close() {
      closed = true;
      for (const look of byDigest.values()) for (const each of look.tell) each('busy');
      byDigest.clear();
      waiting.clear();
      void thread?.terminate();
      thread = null;
    },
  };
}

function argon2Of(hash: string): Guess['argon2'] {
  const read = readPasswordHash(hash);
  return 'kind' in read && read.kind === 'argon2id' ? read : null;
}
