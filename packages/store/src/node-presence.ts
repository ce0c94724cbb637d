import { AppError } from '@lockstep/contract';

/** A node not heard of for this long is forgotten. */
export const presenceKeptMs = 86_400_000;

export function nodeIdTaken(node: string): AppError {
  return new AppError('node_id_taken', `another live process runs as node "${node}"`, { facts: { node } });
}
