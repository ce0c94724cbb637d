import { lookup } from 'node:dns/promises';
import { type Client, LockstepError, type Route } from '@lockstep/client';
import { addressOfHost, hostOfAddress, parseAddress } from '@lockstep/contract';
import { type Finding, note, ok, wrong } from './finding.ts';
import { probe, Unnamed } from './serve-probe.ts';

/** Everything between a customer's DNS and what each edge serves. */
export async function examineHost(client: Client, named: string): Promise<Finding[]> {
  const found = await routeOf(client, named);
  if (found === null)
    return [wrong('route', `no route has the host ${named}`, `lockstep route add ${named} --to http://…`)];
  const { route, host } = found;
  const { state, nodes, reason, behind } = {
    ...route.status,
    ...route.status.nodes,
    nodes: route.status.nodes,
  };
  const findings: Finding[] = [
    state === 'live'
      ? ok('route', `${route.id} is live at ${nodes.live} of ${nodes.of} nodes`)
      : wrong('route', `${route.id} is ${state}${reason ? `: ${reason}` : ''}`),
    ...behind.map(({ node, reason }) => wrong(`node ${node}`, reason, `lockstep node show ${node}`)),
    ...(route.status.unhealthy ?? []).map(({ detail }) => wrong('upstream', detail, 'look at the upstream')),
  ];
  findings.push(...(await asFarAsAllowed('DNS and CAA', () => examineDns(client, route, host))));
  let expected: string | null = null;
  const certificate = async () => {
    const examined = await examineCertificate(client, route, host);
    expected = examined.expected;
    return examined.findings;
  };
  findings.push(...(await asFarAsAllowed('certificate', certificate)));
  findings.push(...(await asFarAsAllowed('nodes', () => examineNodes(client, host, expected))));
  return [...findings, ...(await examinePublic(client, host, expected))];
}

/** A token that sees less finds what it can. */
async function asFarAsAllowed(what: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof LockstepError && error.status === 403)
      return [note(what, `not looked at: ${error.message}`)];
    throw error;
  }
}

/** By one of its hosts, or by its id. */
async function routeOf(client: Client, named: string): Promise<{ route: Route; host: string } | null> {
  const host = hostOfAddress(named) ?? named.toLowerCase();
  for await (const route of client.routes.list({ host })) return { route, host };
  const route = await client.routes.get(named).catch((error: unknown) => {
    if (error instanceof LockstepError && [400, 404].includes(error.status)) return null;
    throw error;
  });
  return route === null ? null : { route, host: route.hosts[0]! };
}

async function examineDns(client: Client, route: Route, host: string): Promise<Finding[]> {
  const { hosts } = await client.routes.check(route.id);
  return hosts
    .filter((one) => one.host === host || hosts.length === 1)
    .map((one) => {
      const wanted = one.dnsRequirements.find(({ ok }) => !ok);
      const hint = wanted && `set ${wanted.type} ${wanted.name} to ${wanted.value}`;
      return one.ok ? ok('DNS and CAA', one.detail) : wrong('DNS and CAA', one.detail, hint);
    });
}

async function examineCertificate(client: Client, { status }: Route, host: string) {
  const own = status.certificates.find((one) => one.host === host) ?? status.certificates[0];
  if (own === undefined) return { expected: null, findings: [wrong('certificate', 'there is none yet')] };
  const certificate = await client.certificates.get(own.id).catch((error: unknown) => {
    if (error instanceof LockstepError && error.status === 404) return null;
    throw error;
  });
  if (certificate === null || certificate.notAfter === null) {
    const { lastError, nextAttemptAt } = own;
    const again = nextAttemptAt === null ? '' : `; the next try is at ${nextAttemptAt}`;
    return {
      expected: null,
      findings: [
        wrong(
          'certificate',
          `${lastError?.detail ?? 'there is none yet'}${again}`,
          `lockstep cert show ${own.id}`,
        ),
      ],
    };
  }
  const detail = `from ${certificate.issuer ?? 'whoever brought it'}, until ${certificate.notAfter}`;
  const findings = [
    certificate.expiresSoon
      ? wrong('certificate', `${detail}: soon`, `lockstep cert renew ${certificate.id}`)
      : ok('certificate', detail),
    ...(certificate.lastError === null ? [] : [wrong('renewal', certificate.lastError.detail)]),
  ];
  return { expected: certificate.fingerprint256, findings };
}

async function examineNodes(client: Client, host: string, expected: string | null): Promise<Finding[]> {
  const roots = await ownRoots(client);
  const findings: Finding[] = [];
  for await (const { id, state, addresses } of client.nodes.list()) {
    if (state !== 'live') continue;
    const { host: listens, port } = parseAddress(addresses.https, 'https');
    const reached = ['0.0.0.0', '::'].includes(listens) ? '127.0.0.1' : listens;
    findings.push(await examineServed(`node ${id}`, { host: reached, port }, host, roots, expected, false));
  }
  return findings;
}

async function examinePublic(client: Client, host: string, expected: string | null): Promise<Finding[]> {
  if (host.startsWith('*.')) return [];
  const given = addressOfHost(host);
  const found = given === null ? await lookup(host, { all: true }).catch(() => []) : [{ address: given }];
  if (found.length === 0) return [note('from here', `${host} has no address as seen from here`)];
  const roots = await ownRoots(client);
  return Promise.all(
    found.map(({ address }) =>
      examineServed(`at ${address}`, { host: address, port: 443 }, host, roots, expected, true),
    ),
  );
}

async function examineServed(
  what: string,
  address: { host: string; port: number },
  host: string,
  roots: string[] | null,
  expected: string | null,
  isPublic: boolean,
): Promise<Finding> {
  try {
    const served = await probe(address, host.replace(/^\*\./, 'any.'), roots ?? []);
    const detail = `${served.protocol}, from ${served.issuer}, until ${served.notAfter.toISOString()}${served.stapled ? ', OCSP stapled' : ''}`;
    if (expected !== null && normal(served.fingerprint256) !== normal(expected))
      return wrong(
        what,
        `serves another certificate: ${detail}`,
        isPublic ? 'the name leads elsewhere' : undefined,
      );
    if (served.fault === null) return ok(what, detail);
    return roots === null
      ? note(what, `${detail}; not told whether clients take it: the token lacks the scope certificates:read`)
      : wrong(what, `${detail}; clients refuse it: ${served.fault}`);
  } catch (error) {
    if (error instanceof Unnamed)
      return wrong(
        what,
        `${address.host}:${address.port} has no certificate for ${host}`,
        isPublic ? 'the name leads elsewhere, or its certificate is not there yet' : undefined,
      );
    const detail = `${address.host}:${address.port} cannot be reached from here: ${(error as Error).message}`;
    return isPublic ? wrong(what, detail, 'open port 443, or mend the DNS') : note(what, detail);
  }
}

function normal(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}

/** Null where the token may not see them. */
async function ownRoots(client: Client): Promise<string[] | null> {
  const { data, response } = await client.api.GET('/v1/ca/root.crt', { parseAs: 'text' });
  if (response.status === 403) return null;
  return typeof data === 'string' ? [data] : [];
}
