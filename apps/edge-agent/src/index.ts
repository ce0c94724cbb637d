export { type EdgeProcess, type SpawnEdgeOptions, spawnEdge } from './child/spawn-edge.ts';
export type { Feed } from './feed/feed.ts';
export { createStoreFeed } from './feed/store-feed.ts';
export type { EdgeConfig } from './startup/config.ts';
export type { EdgeAddresses } from './supervisor/supervisor.ts';
