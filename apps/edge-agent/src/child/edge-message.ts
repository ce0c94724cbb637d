import type { ErrorCode } from '@lockstep/contract';
import type { EdgeConfig } from '../startup/config.ts';
import type { EdgeAddresses } from '../supervisor/supervisor.ts';

/** What `spawnEdge` and the edge's process say to each other beside the feed (Node IPC, `serialization: 'advanced'`). */
export type ToEdge =
  | { edge: 'start'; config: EdgeConfig; edgeKey: string }
  /** Answered at once: an edge that does not is hung. */
  | { edge: 'beat' }
  /** Drain and exit. */
  | { edge: 'stop' };

export type FromEdge =
  | { edge: 'beat' }
  | { edge: 'ready'; addresses: EdgeAddresses }
  /** It cannot start or go on; it exits with 1. */
  | { edge: 'failed'; code: ErrorCode; detail: string };
