import { AppError } from '@lockstep/contract';
import { runEdge } from '../src/main.ts';

/** What `lockstep edge` does, for the tests: `config` and `options` as JSON arguments. Prints why it cannot go on. */
try {
  await runEdge(JSON.parse(process.argv[2]!), JSON.parse(process.argv[3]!));
  process.exit(0);
} catch (error) {
  process.stderr.write(
    `${error instanceof AppError ? error.code : 'unexpected'}: ${(error as Error).message}\n`,
  );
  process.exit(1);
}
