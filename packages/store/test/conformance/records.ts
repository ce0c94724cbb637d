import { randomUUID } from 'node:crypto';
import {
  type CommitOrigin,
  idleOrder,
  type Kind,
  type NodeReport,
  type RouteRecord,
} from '@lockstep/contract';
import type { Change, Commit } from '@lockstep/store';
import { nodeReport } from '@lockstep/testkit';

export function route(hosts: string[], upstream = 'http://127.0.0.1:3000'): RouteRecord {
  const at = '2026-11-24T00:00:00.000Z';
  return { hosts, paths: ['/'], upstreams: [{ url: upstream }], createdAt: at, updatedAt: at };
}

export function putRoute(id: string, hosts: string[] = [`${id}.example.com`], upstream?: string): Change {
  return {
    op: 'put',
    kind: 'route',
    id,
    value: route(hosts, upstream),
    claims: hosts.map((host) => `${host} /`),
  };
}

export function putOrder(id: string, dueAt: number | null, lane = 0): Change {
  const due = dueAt === null ? null : new Date(dueAt).toISOString();
  const value = idleOrder(`${id}.example.com`, '2026-11-24T00:00:00.000Z', due);
  return { op: 'put', kind: 'order', id, value, dueAt, lane };
}

export function remove(kind: Kind, id: string): Change {
  return { op: 'delete', kind, id };
}

/** For entries of a log that no commit has made. */
export const noOrigin: CommitOrigin = { by: { kind: 'system' }, requestId: null, cause: null };

export function commitOf(...changes: Change[]): Commit {
  return { id: randomUUID(), changes };
}

export function report(node: string, rest: Partial<NodeReport> = {}): NodeReport {
  return nodeReport(node, { instance: 'instance-1', home: 'home-1', ...rest });
}
