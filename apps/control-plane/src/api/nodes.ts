import {
  AppError,
  type DrainRecord,
  isAppError,
  type NodePresence,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import {
  DeleteQuery,
  FleetStatus,
  Node,
  NodeId,
  NodeUpstream,
  PageQuery,
  Problem,
  pageOf,
} from '@lockstep/contract/schemas';
import type { ConfigStore } from '@lockstep/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { FleetWatch } from '../fleet/fleet-status.ts';
import type { NodeUpstreams } from '../fleet/node-upstreams.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { once } from './idempotent.ts';
import { missingOk } from './missing-ok.ts';
import { movingOfNode } from './moving-parts.ts';
import { needs } from './needs.ts';
import { pageOfList } from './page-of-list.ts';
import { originOf } from './request-origin.ts';

const NodePage = pageOf(Node, 'NodePage');
const NodeUpstreamPage = pageOf(NodeUpstream, 'NodeUpstreamPage');
const params = z.object({ id: NodeId });
const config = { conditional: true } as const;

export interface NodesApiOptions {
  store: ConfigStore;
  fleet: Fleet;
  fleetWatch: FleetWatch;
  upstreams: Pick<NodeUpstreams, 'list'>;
}

/** The edges of the fleet, and how it stands as a whole. */
export function nodesApi(app: ApiInstance, { store, fleet, fleetWatch, upstreams }: NodesApiOptions): void {
  /** As the edge says, and as it was asked to: the one may be a moment behind the other. Of an edge the drain alone is stored. */
  async function answer(request: FastifyRequest, reply: FastifyReply, presence: NodePresence): Promise<Node> {
    const drain = await store.get('drain', presence.report.node).catch(nullIfUnavailable);
    const node = fleetWatch.present(presence, drain?.value ?? null);
    tag(request, reply, drain?.revision ?? null, movingOfNode(node));
    return node;
  }

  function find(id: string): NodePresence {
    const presence = fleet.nodes().find(({ report }) => report.node === id);
    if (presence === undefined)
      throw new AppError('not_found', `there is no node "${id}"`, { facts: { node: id } });
    return presence;
  }

  /** `drained`: since when, where it is not yet; null: no longer. */
  async function setDrain(id: string, drained: DrainRecord | null, origin: WriteOrigin): Promise<void> {
    await writeInTurn(store, [recordKey('drain', id)], async () => {
      const held: StoredRecord<'drain'> | null = await store.get('drain', id);
      origin.condition?.(held?.revision ?? 0);
      // One that is drained already stays drained since then.
      if ((held === null) === (drained === null)) return;
      await commit(store, {
        ...origin,
        checks: [{ kind: 'drain', id, revision: held?.revision ?? null }],
        changes: [
          drained === null
            ? { op: 'delete', kind: 'drain', id }
            : { op: 'put', kind: 'drain', id, value: drained },
        ],
      });
    });
  }

  async function forget(id: string, origin: WriteOrigin): Promise<void> {
    if (find(id).live)
      throw new AppError('wrong_state', `node "${id}" is live; stop it, and it is gone`, {
        facts: { node: id },
      });
    await setDrain(id, null, origin);
    await fleet.forget(id);
  }

  app.get('/fleet', {
    schema: {
      operationId: 'getFleet',
      security: needs('nodes:read'),
      summary: 'How the fleet stands: whether all edges are in step, who is not, and what the store has lost',
      tags: ['nodes'],
      response: { 200: FleetStatus, '4xx': Problem, '5xx': Problem },
    },
    handler: () => fleetWatch.judge(),
  });

  app.get('/nodes', {
    schema: {
      operationId: 'listNodes',
      security: needs('nodes:read'),
      summary: 'List the expected edges: those heard of that neither left for good nor were forgotten',
      tags: ['nodes'],
      querystring: PageQuery,
      response: { 200: NodePage, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const { items, next } = pageOfList(fleet.nodes(), request.query, ({ report }) => report.node);
      const ids = items.map(({ report }) => report.node);
      const drains = (await store.getMany('drain', ids).catch(nullIfUnavailable)) ?? [];
      return { items: items.map((one, i) => fleetWatch.present(one, drains[i]?.value ?? null)), next };
    },
  });

  app.get('/nodes/:id', {
    config,
    schema: {
      operationId: 'getNode',
      security: needs('nodes:read'),
      summary: 'Get an edge: what it has applied, and what it refused',
      tags: ['nodes'],
      params,
      response: { 200: Node, '4xx': Problem, '5xx': Problem },
    },
    handler: async (request, reply) => answer(request, reply, find(request.params.id)),
  });

  app.get('/nodes/:id/upstreams', {
    schema: {
      operationId: 'listNodeUpstreams',
      security: needs('nodes:read'),
      summary: 'List how an edge finds the upstreams of routes with `health`, as it says when it is asked',
      tags: ['nodes'],
      params,
      querystring: PageQuery,
      response: { 200: NodeUpstreamPage, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const { report, live } = find(request.params.id);
      const { node } = report;
      if (!live)
        throw new AppError('wrong_state', `node "${node}" is not live, and cannot be asked`, {
          facts: { node },
        });
      return upstreams.list(node, request.query);
    },
  });

  app.delete('/nodes/:id', {
    config,
    schema: {
      operationId: 'forgetNode',
      security: needs('nodes:write'),
      summary: 'Expect a lost edge no more',
      description:
        'One that still runs is refused: stop it first. An edge that reports again is expected again.',
      tags: ['nodes'],
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('Forgotten'), '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      await missingOk(request.query, forget(request.params.id, originOf(request)));
      return reply.code(204).send(null);
    },
  });

  app.post('/nodes/:id/drain', {
    config,
    schema: {
      operationId: 'drainNode',
      security: needs('nodes:write'),
      summary: 'Have an edge ask for no more traffic: its `/readyz` answers 503',
      description:
        'It ends clients’ connections after their next request, serves whoever comes all the same, and follows the store on. It stays drained, over restarts too, until `undrain`. Where it says that this is in force, it no longer counts for `live`, and no order waits for it.',
      tags: ['nodes'],
      params,
      response: { 202: Node, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      const { id } = request.params;
      const presence = find(id);
      const drained = { since: new Date().toISOString() };
      await once(request, {}, () => setDrain(id, drained, originOf(request)));
      return reply.code(202).send(await answer(request, reply, presence));
    },
  });

  app.post('/nodes/:id/undrain', {
    config,
    schema: {
      operationId: 'undrainNode',
      security: needs('nodes:write'),
      summary: 'Have a drained edge ask for traffic again',
      tags: ['nodes'],
      params,
      response: { 202: Node, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      const { id } = request.params;
      const presence = find(id);
      await once(request, {}, () => setDrain(id, null, originOf(request)));
      return reply.code(202).send(await answer(request, reply, presence));
    },
  });

  app.post('/nodes/:id/confirm-snapshot', {
    config,
    schema: {
      operationId: 'confirmSnapshot',
      security: needs('nodes:write'),
      summary: 'Let an edge apply the snapshot it holds back because it removes most of what the edge serves',
      tags: ['nodes'],
      params,
      response: { 202: Node, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      const presence = find(request.params.id);
      const { held, node } = presence.report;
      await once(request, {}, async () => {
        if (held === null)
          throw new AppError('wrong_state', `node "${node}" holds no snapshot back`, { facts: { node } });
        const origin = originOf(request);
        origin.condition?.((await store.get('drain', node))?.revision ?? 0);
        const value = { revision: held.revision };
        const change = { op: 'put', kind: 'confirmation', id: node, value } as const;
        await commit(store, { ...origin, changes: [change] });
      });
      return reply.code(202).send(await answer(request, reply, presence));
    },
  });
}

/** The nodes are shown while the store is away, as they were heard of last. */
function nullIfUnavailable(error: unknown): null {
  if (isAppError(error, 'store_unavailable')) return null;
  throw error;
}
