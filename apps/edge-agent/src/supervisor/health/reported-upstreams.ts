import type { NodeReport, UpstreamState } from '@lockstep/contract';

/** A report is sent every 2 s: it has the first unhealthy ones, and of more their number. All of them are told when they are asked for. */
const mostReported = 50;
const detailLength = 200;

export function reportedUpstreams(states: readonly UpstreamState[]): Pick<NodeReport, 'upstreams'> {
  if (states.length === 0) return {};
  const unhealthy = states.filter(({ state }) => state === 'unhealthy');
  const first = unhealthy.slice(0, mostReported).map(({ key, url, since, detail }) => ({
    key,
    url: url.slice(0, detailLength),
    since: since ?? '',
    detail: (detail ?? '').slice(0, detailLength),
  }));
  return { upstreams: { watched: states.length, unhealthy: unhealthy.length, first } };
}
