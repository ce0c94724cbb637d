import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Position } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';

const rememberIntervalMs = 2_000;

/** What a data folder knows of its store's history: it is never empty, and never behind this. */
export interface SeenHistory {
  latest: Position;
  /** The epochs that the latest commit's came from, the oldest first. */
  earlierEpochs: string[];
}

/** Null before the first. */
export async function readSeenHistory(dataDir: string): Promise<SeenHistory | null> {
  let text: string;
  try {
    text = await readFile(join(dataDir, 'history'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('bad_configuration', `the data folder "${dataDir}" cannot be read`, { cause: error });
  }
  const [epoch, number, commitId, ...earlier] = text.split('\n');
  if (!epoch || !/^\d{1,15}$/.test(number ?? '') || commitId === undefined) {
    throw new AppError('bad_configuration', `the file "history" of the data folder "${dataDir}" is damaged`);
  }
  return {
    latest: { epoch, number: Number(number), commitId },
    earlierEpochs: earlier.filter((one) => one !== ''),
  };
}

export async function rememberHistory(
  dataDir: string,
  { epoch, number, commitId }: Position,
  epochs: readonly string[],
): Promise<void> {
  const path = join(dataDir, 'history');
  const earlier = epochs.filter((one) => one !== epoch);
  await writeFile(`${path}.new`, [epoch, number, commitId, ...earlier, ''].join('\n'));
  await rename(`${path}.new`, path);
}

/** Remembers what the store knows every 2 s, and when it is closed. */
export function keepSeenHistory(dataDir: string, store: Pick<ConfigStore, 'known' | 'epochs'>, log: Logger) {
  let last: Position | null = null;
  let failing = false;

  async function remember(): Promise<void> {
    const { known } = store;
    if (known === null || (known.epoch === last?.epoch && known.commitId === last.commitId)) return;
    try {
      await rememberHistory(dataDir, known, store.epochs);
      last = known;
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ err: error }, 'the data folder does not take which history was seen');
      failing = true;
    }
  }

  let under: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    under = under.then(remember);
  }, rememberIntervalMs);
  return {
    async close(): Promise<void> {
      clearInterval(timer);
      await under;
      await remember();
    },
  };
}
