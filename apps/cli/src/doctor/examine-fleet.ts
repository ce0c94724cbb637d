import type { components } from '@lockstep/client';
import type { Session } from '../session/open-session.ts';
import { type Finding, ok, wrong } from './finding.ts';

/** What an operator looks at first. */
export async function examineFleet({ client, api }: Session): Promise<Finding[]> {
  // Not through the client, which would ask again where it is not ready.
  const answer = await fetch(`${api}/readyz`).then((response) => response.json());
  const readiness = answer as components['schemas']['Readiness'];
  const fleet = await client.fleet();
  const { nodes, store, behind, inStep } = fleet;
  const findings: Finding[] = readiness.checks.map(({ name, ok: fine, detail }) =>
    fine ? ok(name, detail) : wrong(name, detail),
  );
  findings.push(
    store.reachable && store.detail === null
      ? ok('store', `revision ${fleet.revision}`)
      : wrong('store', store.detail ?? 'it cannot be reached', 'docs/failure-modes.md, by what it says'),
    inStep
      ? ok('nodes', `${nodes.live} of ${nodes.expected} are live and in step`)
      : wrong('nodes', `${nodes.live} of ${nodes.expected} are live and in step`),
    ...nodes.lost.map((node) =>
      wrong(`node ${node}`, 'it is not heard of', `start it, or \`lockstep node rm ${node}\``),
    ),
    ...behind.map(({ node, reason, since }) => wrong(`node ${node}`, `${reason}, since ${since}`)),
  );
  for await (const { id, lastError } of client.certificates.list({ failing: 'true' }))
    findings.push(
      wrong(`certificate ${id}`, lastError?.detail ?? 'it cannot be obtained', `lockstep doctor ${id}`),
    );
  return findings;
}
