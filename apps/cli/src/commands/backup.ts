import { join, resolve } from 'node:path';
import { AppError } from '@lockstep/contract';
import { Command } from 'commander';
import { checkStoreUrl } from './option-values.ts';
import { storeOption, storePrefixOption } from './shared-options.ts';

export function backupCommand(): Command {
  return placed(new Command('backup'))
    .description('write every record of a store into one file')
    .requiredOption('--output <file>', 'where to; it may hold secrets, sealed')
    .action(async (flags: PlaceFlags & { output: string }) => {
      const place = findPlace(flags);
      const { dumpStore, writeBackup } = await import('@lockstep/store');
      const dump = dumpStore(place.url, place.prefix);
      const { records, position } = await writeBackup(resolve(flags.output), dump);
      process.stdout.write(`${records} records at revision ${position.number}\n`);
    });
}

export function restoreCommand(): Command {
  return placed(new Command('restore'))
    .description('put a backup into an empty store, where a new epoch begins')
    .argument('<file>', 'what `lockstep backup` wrote')
    .action(async (file: string, flags: PlaceFlags) => {
      const place = findPlace(flags);
      const { fillStore, readBackup } = await import('@lockstep/store');
      const backup = await readBackup(resolve(file));
      const { number } = await fillStore(place.url, place.prefix, backup);
      process.stdout.write(`${backup.records} records; the history goes on at revision ${number}\n`);
    });
}

interface PlaceFlags {
  store?: string;
  storePrefix: string;
  dataDir?: string;
}

function placed(command: Command): Command {
  return command
    .addOption(storeOption())
    .addOption(storePrefixOption())
    .option('--data-dir <folder>', 'of `lockstep up`, in place of --store; stop it first');
}

function findPlace({ store, storePrefix, dataDir }: PlaceFlags): { url: string; prefix: string } {
  if (dataDir !== undefined) {
    return { url: `sqlite:${join(resolve(dataDir), 'store.db')}`, prefix: storePrefix };
  }
  if (store === undefined) {
    throw new AppError(
      'bad_configuration',
      'no store is named; give --store redis://… or --data-dir <folder>',
    );
  }
  return { url: checkStoreUrl(store), prefix: storePrefix };
}
