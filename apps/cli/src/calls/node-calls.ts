import type { components } from '@lockstep/client';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';

type Node = components['schemas']['Node'];

export async function listNodes({ client, output }: Session): Promise<void> {
  const nodes: Node[] = [];
  for await (const node of client.nodes.list()) nodes.push(node);
  output.list(nodes, {
    node: ({ id }) => id,
    state: ({ state, drain }) => {
      if (drain !== null) return output.paint('yellow', `${state}, drained`);
      return output.paint(state === 'live' ? 'green' : 'red', state);
    },
    workers: ({ workers }) => `${workers.ready}/${workers.of}`,
    hosts: ({ hosts }) => String(hosts),
    https: ({ addresses }) => addresses.https,
    version: ({ version }) => version,
    fault: ({ fault }) => fault ?? '',
  });
}

export async function showNode({ client, output }: Session, id: string): Promise<void> {
  output.show(await client.nodes.get(id));
}

export async function drainNode(session: Session, id: string): Promise<void> {
  say(session, await session.client.nodes.drain(id), 'takes no new traffic');
}

export async function undrainNode(session: Session, id: string): Promise<void> {
  say(session, await session.client.nodes.undrain(id), 'takes traffic');
}

export async function removeNode(session: Session, id: string, flags: { yes?: boolean }): Promise<void> {
  if (!(await confirmed(`Expect ${id} no more?`, flags))) return;
  await session.client.nodes.delete(id);
  if (!session.output.json) session.output.line(`${id} is expected no more`);
}

function say({ output }: Session, node: Node, what: string): void {
  if (output.json) output.show(node);
  else output.line(`${node.id} ${what}`);
}
