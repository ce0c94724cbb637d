import { argon2Sync, timingSafeEqual } from 'node:crypto';
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { Argon2Hash } from '@lockstep/contract';
import { compareSync } from 'bcryptjs';

/** Runs in a thread of its own: one guess takes as long as thousands of requests. */
export interface Guess {
  hash: string;
  /** Null: the hash is one of bcrypt. */
  argon2: Argon2Hash | null;
  password: string;
}

// On Linux it is this thread's alone: guesses get what serving leaves of a processor.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

parentPort?.on('message', ({ hash, argon2, password }: Guess) => {
  parentPort?.postMessage(argon2 === null ? compareSync(password, hash) : isRightArgon2(argon2, password));
});

function isRightArgon2({ memoryKib, passes, lanes, salt, digest }: Argon2Hash, password: string): boolean {
  const wanted = Buffer.from(digest, 'base64');
  const given = argon2Sync('argon2id', {
    message: password,
    nonce: Buffer.from(salt, 'base64'),
    parallelism: lanes,
    tagLength: wanted.length,
    memory: memoryKib,
    passes,
  });
  return timingSafeEqual(given, wanted);
}
