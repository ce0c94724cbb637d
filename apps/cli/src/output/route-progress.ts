import type { Route } from '@lockstep/client';
import type { Output } from './output.ts';

/** Shows how far a route is: a line for what stands, and one that moves for what is under way. Says nothing where nobody watches. */
export interface RouteProgress {
  show(route: Route): void;
  end(): void;
}

const stages = ['DNS leads here', 'certificate issued', 'served by every node'] as const;

export async function createRouteProgress({ watched }: Output): Promise<RouteProgress> {
  if (!watched) return { show() {}, end() {} };
  const { default: ora } = await import('ora');
  const spinner = ora().start();
  let done = 0;
  return {
    show(route) {
      for (const reached = stagesReached(route); done < reached; done++) {
        spinner.stopAndPersist({ symbol: '✔', text: describeStage(done, route) });
        spinner.start();
      }
      spinner.text = underWay(route);
    },
    end: () => spinner.stop(),
  };
}

function stagesReached({ status: { state } }: Route): number {
  if (state === 'live') return 3;
  if (state === 'deploying') return 2;
  return state === 'issuing' || state === 'failed' ? 1 : 0;
}

function describeStage(stage: number, { status: { nodes } }: Route): string {
  return stage === 2 ? `served by ${nodes.live} of ${nodes.of} nodes` : (stages[stage] ?? '');
}

function underWay({ status }: Route): string {
  const { state, reason, queue, nodes } = status;
  switch (state) {
    case 'pending':
      if (queue === undefined) return 'looking at the DNS';
      return `waiting for its turn: place ${queue.position}${queue.estimatedAt === null ? '' : `, about ${queue.estimatedAt}`}`;
    case 'issuing':
      return 'order and challenge at the CA';
    case 'deploying':
      return `${nodes.live} of ${nodes.of} nodes serve it`;
    default:
      return reason ?? state;
  }
}
