import { AppError } from '@lockstep/contract';
import type { EdgeProcess } from '@lockstep/edge-agent';
import { pino } from 'pino';
import t from 'tap';
import { createEdgeProcesses } from '../src/up/edge-processes.ts';

const log = pino({ level: 'silent' });

/** An edge that is ready at once, and goes when it is asked to. */
function readyEdge(): EdgeProcess {
  const exited = Promise.withResolvers<Awaited<EdgeProcess['exited']>>();
  return {
    pid: 1,
    ready: Promise.resolve({} as Awaited<EdgeProcess['ready']>),
    exited: exited.promise,
    async stop() {
      exited.resolve({ code: 0, signal: null, error: null });
    },
  };
}

t.test('closing ends them for good, also where nobody asked the whole process to stop', async (t) => {
  let spawned = 0;
  const edges = createEdgeProcesses({
    nodes: ['edge-1', 'edge-2'],
    spawn: () => {
      spawned += 1;
      return readyEdge();
    },
    signal: new AbortController().signal,
    log,
    onHopeless: t.fail,
  });
  await edges.close();
  t.equal(spawned, 2);
});

t.test('a process that cannot be started for now is tried again', async (t) => {
  const started = Promise.withResolvers<void>();
  let tries = 0;
  const edges = createEdgeProcesses({
    nodes: ['edge-1'],
    spawn: () => {
      tries += 1;
      if (tries === 1) throw new AppError('internal', 'spawn ENOMEM');
      started.resolve();
      return readyEdge();
    },
    signal: new AbortController().signal,
    log,
    onHopeless: t.fail,
  });
  await started.promise;
  await edges.close();
  t.equal(tries, 2);
});
