import { pino } from 'pino';
import { createStoreFeed, spawnEdge } from '../../src/index.ts';
import { createConfiguredStore } from '../configured-store.ts';

/** A process with one edge, which the orphan tests kill. Sends its parent the edge's process id when it serves. */
const local = { host: '127.0.0.1', port: 0 };
const configured = await createConfiguredStore();
await configured.serve('a', ['a.example.com'], ['http://127.0.0.1:1']);
const edge = spawnEdge({
  config: {
    node: 'edge-1',
    dataDir: process.argv[2]!,
    https: local,
    http: local,
    admin: local,
    publicHttpsPort: null,
    workers: Number(process.argv[3]),
    logLevel: 'silent',
  },
  edgeKey: configured.edgeKey,
  feed: createStoreFeed(configured.store),
  log: pino({ level: 'silent' }),
});
await edge.ready;
process.send!(edge.pid);
// Stays as long as the test does, whatever becomes of the edge.
process.on('message', () => {});
