import { type Address, AppError, formatAddress } from '@lockstep/contract';

/** Why an address cannot be bound, in a line for an operator. */
export function listenError(address: Address, cause: NodeJS.ErrnoException): AppError {
  const why =
    cause.code === 'EADDRINUSE'
      ? 'is in use by another process'
      : cause.code === 'EACCES'
        ? 'may not be bound by this user'
        : `cannot be bound (${cause.code ?? cause.message})`;
  return new AppError('bad_configuration', `${formatAddress(address)} ${why}`, { cause });
}
