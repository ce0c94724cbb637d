import { randomUUID } from 'node:crypto';
import {
  AppError,
  type Boundary,
  type Hint,
  type NodeUpstream,
  type UpstreamState,
} from '@lockstep/contract';
import { NodeUpstream as NodeUpstreamSchema } from '@lockstep/contract/schemas';
import type { ConfigStore, Page, PageRequest } from '@lockstep/store';

/** An edge that is well answers within a few milliseconds; a hint may be lost, so it is asked again. */
const askAgainMs = 500;
const patienceMs = 3_000;

/** What single edges know of their upstreams, asked of them when somebody wants to see it. */
export interface NodeUpstreams {
  /** Throws `node_silent` when the node does not answer. */
  list(node: string, page: PageRequest): Promise<Page<NodeUpstream>>;
  close(): void;
}

export interface NodeUpstreamsOptions {
  store: Pick<ConfigStore, 'sendHint' | 'watchHints'>;
  boundary: Boundary;
}

type Told = Extract<Hint, { hint: 'upstream-states' }>;

export function createNodeUpstreams({ store, boundary }: NodeUpstreamsOptions): NodeUpstreams {
  const asked = new Map<string, (told: Told) => void>();

  const unwatch = store.watchHints(
    boundary.guard('hint', (hint: Hint) => {
      if (hint.hint === 'upstream-states') asked.get(hint.id)?.(hint);
    }),
  );

  function ask(node: string, { limit, cursor = '' }: PageRequest): Promise<Told> {
    const id = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<Told>();
    const send = () => store.sendHint({ hint: 'upstreams', node, id, after: cursor, limit }).catch(reject);
    const again = setInterval(send, askAgainMs);
    const over = setTimeout(
      () => reject(new AppError('node_silent', `node "${node}" did not say how it finds its upstreams`)),
      patienceMs,
    );
    asked.set(id, resolve);
    send();
    return promise.finally(() => {
      clearInterval(again);
      clearTimeout(over);
      asked.delete(id);
    });
  }

  return {
    async list(node, page) {
      const { states, next } = await ask(node, page);
      return { items: states.flatMap(shown), next };
    },
    close: unwatch,
  };
}

/** What an edge says is a claim, and may be of any shape. */
function shown(state: UpstreamState): NodeUpstream[] {
  const { success, data } = NodeUpstreamSchema.safeParse(state);
  return success ? [data] : [];
}
