import { AppError } from '@lockstep/contract';
import { earlierForm, type KeyHolder, keyVariables, type Sealer } from './sealer.ts';

const canaryText = 'lockstep';
const canaryContext = 'canary';

/** A known text, sealed: kept beside sealed records so that a wrong key is found before it is used. */
export function sealCanary(sealer: Sealer<KeyHolder>): string {
  return sealer.seal(canaryText, canaryContext);
}

/** Throws `wrong_secret_key` unless the canary was sealed with this key, and `bad_configuration` for one of an earlier form. */
export function checkCanary(sealer: Sealer<KeyHolder>, sealed: string): void {
  if (earlierForm.test(sealed)) {
    throw new AppError(
      'bad_configuration',
      'the store was made by an earlier revision of Lockstep, of which nothing is carried over; begin with an empty one: another --store-prefix, or, of `lockstep up`, another --data-dir',
    );
  }
  try {
    if (sealer.open(sealed, canaryContext) === canaryText) return;
  } catch (cause) {
    throw new AppError(
      'wrong_secret_key',
      `${keyVariables[sealer.holder]} is not the key that this fleet’s private keys are sealed with: ${(cause as Error).message}`,
      { cause },
    );
  }
  throw new AppError('wrong_secret_key', 'the canary holds something else than it should');
}
