import { logDestination } from '@lockstep/contract';
import { tidyEnvironment } from './config.ts';
import { exitCodes } from './output/exit-codes.ts';
import { createProgram } from './program.ts';
import type { OpenLog } from './up/run-up.ts';

const openLog: OpenLog = async ({ fd, level, terminal }) => {
  const { pino } = await import('pino');
  return pino(
    { level },
    pino.multistream([
      { level: 'trace', stream: logDestination(pino.destination, fd) },
      { level: 'warn', stream: terminal },
    ]),
  );
};

// A screen that is gone costs what would be on it.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
tidyEnvironment();
try {
  await createProgram({ openLog }).parseAsync();
} catch (error) {
  const detail = error instanceof Error ? error.message : String(error);
  process.stderr.write(`lockstep: ${detail}\n`);
  // By what it is, since what talks to the API is not loaded by every command.
  const { code, status } = error as { code?: unknown; status?: unknown };
  process.exit(code === 'not_found' || status === 404 ? exitCodes.notFound : 1);
}
