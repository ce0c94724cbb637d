import { tidyEnvironment } from './config.ts';
import { createProgram } from './program.ts';
import type { OpenLog } from './up/run-up.ts';

const openLog: OpenLog = async ({ fd, level, terminal }) => {
  const { pino } = await import('pino');
  return pino(
    { level },
    pino.multistream([
      { level: 'trace', stream: pino.destination({ dest: fd, sync: true }) },
      { level: 'warn', stream: terminal },
    ]),
  );
};

tidyEnvironment();
try {
  await createProgram({ openLog }).parseAsync();
} catch (error) {
  const detail = error instanceof Error ? error.message : String(error);
  process.stderr.write(`lockstep: ${detail}\n`);
  process.exit(1);
}
