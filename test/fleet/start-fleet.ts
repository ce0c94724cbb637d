import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Route } from '@lockstep/contract';
import { deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { type Child, freePort, startLockstep, startRedis, waitFor } from '@lockstep/testkit';
import type t from 'tap';
import { httpsRequest } from './https-client.ts';

export interface FleetOptions {
  dir: string;
  controlPlanes?: number;
  edges?: number;
  workers?: number;
  /** LOCKSTEP_ACME_… of the control plane. */
  acme?: Record<string, string>;
  /** Ports of the edges' listeners, where a test needs to know them before they start. */
  httpPorts?: number[];
  httpsPorts?: number[];
  /** Where Redis keeps its files; default: a folder of its own. */
  redisDir?: string;
  /** The checkout that the control planes are run from, where it is not this one. */
  controlPlaneRoot?: string;
  /** The checkouts that the edges are run from, where not all are run from this one. */
  edgeRoots?: (string | undefined)[];
  /** How the processes reach the store; default: that Redis, directly. */
  storeUrl?: string;
}

export interface EdgeUnderTest {
  node: string;
  https: number;
  http: number;
  admin: number;
  process: Child;
  /** The checkout that the next start is from; left out: this one. */
  root: string | undefined;
  start(): Promise<void>;
  /** Resolves once `/readyz` is 200. */
  ready(): Promise<void>;
}

export interface ControlPlaneUnderTest {
  name: string;
  url: string;
  process: Child;
  /** As an edge's. */
  root: string | undefined;
  /** Resolves once `/readyz` is 200. */
  start(): Promise<void>;
}

/** Control planes and edges as processes of their own over a real Redis, as they run in production. */
export async function startFleet(test: Pick<typeof t, 'teardown'>, options: FleetOptions) {
  const { dir, edges: count = 2, workers = 1, acme = {} } = options;
  const { httpPorts = [], httpsPorts = [], edgeRoots = [] } = options;
  const redis = await startRedis({ ...(options.redisDir !== undefined && { dir: options.redisDir }) });
  test.teardown(() => redis.close());
  const adminToken = randomUUID();
  const secretKey = generateSecretKey();
  const sharedEnv = {
    LOCKSTEP_STORE: options.storeUrl ?? redis.url,
    LOCKSTEP_STORE_PREFIX: `test-${randomUUID().slice(0, 8)}`,
    LOCKSTEP_LOG_LEVEL: 'info',
  };
  const env = { ...sharedEnv, LOCKSTEP_SECRET_KEY: secretKey, LOCKSTEP_ADMIN_TOKEN: adminToken };
  const edgeEnv = { ...sharedEnv, LOCKSTEP_EDGE_KEY: deriveEdgeKey(secretKey) };
  async function createControlPlane(index: number): Promise<ControlPlaneUnderTest> {
    const port = await freePort();
    const name = `control-plane-${index + 1}`;
    const controlPlane: ControlPlaneUnderTest = {
      name,
      url: `http://127.0.0.1:${port}`,
      process: null as unknown as Child,
      root: options.controlPlaneRoot,
      async start() {
        const args = ['control-plane', '--listen', `127.0.0.1:${port}`, '--data-dir', join(dir, name)];
        controlPlane.process = startLockstep(args, {
          env: { ...env, ...acme },
          root: controlPlane.root,
        });
        await answers(`${controlPlane.url}/readyz`, controlPlane.process, name);
      },
    };
    return controlPlane;
  }

  async function createEdge(index: number): Promise<EdgeUnderTest> {
    const node = `edge-${index + 1}`;
    const https = httpsPorts[index] ?? (await freePort());
    const http = httpPorts[index] ?? (await freePort());
    const admin = await freePort();
    const edge: EdgeUnderTest = {
      node,
      https,
      http,
      admin,
      process: null as unknown as Child,
      root: edgeRoots[index],
      async start() {
        const at = (port: number) => `127.0.0.1:${port}`;
        const args = ['edge', '--node', node, '--https', at(https), '--http', at(http), '--admin', at(admin)];
        edge.process = startLockstep([...args, '--data-dir', join(dir, node), '--workers', String(workers)], {
          env: edgeEnv,
          root: edge.root,
        });
        await edge.ready();
      },
      ready: () => answers(`http://127.0.0.1:${admin}/readyz`, edge.process, node),
    };
    return edge;
  }

  const controlPlanes = await Promise.all(
    Array.from({ length: options.controlPlanes ?? 1 }, (_, index) => createControlPlane(index)),
  );
  const [controlPlane] = controlPlanes as [ControlPlaneUnderTest];
  const { url } = controlPlane;
  const edges = await Promise.all(Array.from({ length: count }, (_, index) => createEdge(index)));
  test.teardown(async () => {
    await Promise.all([...controlPlanes, ...edges].map(({ process }) => process?.signal('SIGTERM')));
  });
  await Promise.all(controlPlanes.map((one) => one.start()));
  await Promise.all(edges.map((edge) => edge.start()));

  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    at: string = url,
  ) {
    const response = await fetch(at + path, {
      method,
      headers: {
        authorization: `Bearer ${adminToken}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text, body: text.startsWith('{') ? JSON.parse(text) : null };
  }

  /** POSTs a route and waits until every edge serves it. */
  async function post(host: string, upstream: string): Promise<{ status: number; body: Route }> {
    return call(
      'POST',
      '/v1/routes',
      { hosts: [host], upstreams: [{ url: upstream }] },
      { prefer: 'wait=60' },
    );
  }

  /** The same by PUT, which may be repeated: waits for the control plane to reach its store again. */
  function putOnceStoreIsBack(
    id: string,
    host: string,
    upstream: string,
  ): Promise<{ status: number; body: Route }> {
    return waitFor(
      async () => {
        const answer = await call(
          'PUT',
          `/v1/routes/${id}`,
          { hosts: [host], upstreams: [{ url: upstream }] },
          { prefer: 'wait=60' },
        );
        return answer.status === 200 || answer.status === 201 ? answer : null;
      },
      { what: `a PUT of ${host} once the store is back` },
    );
  }

  const internalRoot = async () => (await call('GET', '/v1/ca/root.crt')).text;
  const get = (edge: EdgeUnderTest, host: string, ca: string, path = '/') =>
    httpsRequest({ port: edge.https, host, ca, path });

  /** FLUSHALL, as an operator's slip or a Redis started without its disk. */
  async function wipeStore(): Promise<void> {
    const socket = connect(redis.port, '127.0.0.1');
    socket.end('FLUSHALL\r\n');
    socket.resume();
    await once(socket, 'close');
  }

  return {
    redis,
    /** Of its control planes. */
    env,
    /** Of its edges. */
    edgeEnv,
    url,
    controlPlane,
    controlPlanes,
    edges,
    call,
    post,
    putOnceStoreIsBack,
    get,
    internalRoot,
    wipeStore,
  };
}

async function answers(url: string, process: Child, what: string): Promise<void> {
  await waitFor(async () => process.ended() !== null || (await fetch(url)).status === 200, {
    what: `${what} to be ready`,
  }).catch((error) => {
    throw new Error(`${error.message}\n${process.output()}`);
  });
  if (process.ended() === null) return;
  throw new Error(`${what} ended (${process.ended()}) before it was ready:\n${process.output()}`);
}
