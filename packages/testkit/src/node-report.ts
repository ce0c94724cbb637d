import { edgeKinds, type NodeReport } from '@lockstep/contract';

/** A report as a well node makes it that has applied nothing yet, with what `changes` says. */
export function nodeReport(node: string, changes: Partial<NodeReport> = {}): NodeReport {
  const startedAt = new Date().toISOString();
  return {
    node,
    instance: `instance of ${node}`,
    home: `home of ${node}`,
    version: '0.0.0',
    startedAt,
    applied: null,
    capabilities: { kinds: [...edgeKinds] },
    keys: [],
    refusals: [],
    held: null,
    hosts: 0,
    workers: { ready: 1, of: 1 },
    unanswered: null,
    drained: null,
    feed: { state: 'following', since: startedAt, detail: null, records: null },
    clock: Date.now(),
    addresses: { https: '127.0.0.1:8443', http: '127.0.0.1:8080', admin: '127.0.0.1:9100' },
    ...changes,
  };
}
