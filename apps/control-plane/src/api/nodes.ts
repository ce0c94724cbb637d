import { randomUUID } from 'node:crypto';
import { AppError, type NodePresence } from '@lockstep/contract';
import { Node, NodeId, PageQuery, Problem, pageOf } from '@lockstep/contract/schemas';
import type { ConfigStore } from '@lockstep/store';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import { presentNode } from '../routes/route-view.ts';
import type { ApiInstance } from './server.ts';

const NodePage = pageOf(Node, 'NodePage');
const params = z.object({ id: NodeId });

export interface NodesApiOptions {
  store: ConfigStore;
  fleet: Fleet;
}

export function nodesApi(app: ApiInstance, { store, fleet }: NodesApiOptions): void {
  function find(id: string): NodePresence {
    const presence = fleet.nodes().find(({ report }) => report.node === id);
    if (presence === undefined)
      throw new AppError('not_found', `there is no node "${id}"`, { facts: { node: id } });
    return presence;
  }

  app.get('/nodes', {
    schema: {
      operationId: 'listNodes',
      summary: 'List the edges heard of within the last day',
      tags: ['nodes'],
      querystring: PageQuery,
      response: { 200: NodePage, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const { limit, cursor } = request.query;
      const nodes = fleet.nodes().filter(({ report }) => cursor === undefined || report.node > cursor);
      const shown = nodes.slice(0, limit);
      return {
        items: shown.map((presence) => presentNode(presence, store.epoch)),
        next: nodes.length > limit ? (shown.at(-1)?.report.node ?? null) : null,
      };
    },
  });

  app.get('/nodes/:id', {
    schema: {
      operationId: 'getNode',
      summary: 'Get an edge: what it has applied, and what it refused',
      tags: ['nodes'],
      params,
      response: { 200: Node, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      return presentNode(find(request.params.id), store.epoch);
    },
  });

  app.post('/nodes/:id/confirm-snapshot', {
    schema: {
      operationId: 'confirmSnapshot',
      summary: 'Let an edge apply the snapshot it holds back because it removes most of what the edge serves',
      tags: ['nodes'],
      params,
      response: { 202: Node, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      const presence = find(request.params.id);
      const { held, node } = presence.report;
      if (held === null) {
        throw new AppError('revision_conflict', `node "${node}" holds no snapshot back`, { facts: { node } });
      }
      const change = {
        op: 'put',
        kind: 'confirmation',
        id: node,
        value: { revision: held.revision },
      } as const;
      await store.commit({ id: randomUUID(), changes: [change] });
      return reply.code(202).send(presentNode(presence, store.epoch));
    },
  });
}
