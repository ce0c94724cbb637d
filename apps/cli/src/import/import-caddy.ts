import { readFileSync } from 'node:fs';
import { type Plan, type PlannedIssuer, translateCaddy, wholeRoutesOf } from '@lockstep/caddy';
import type { Issuer, Settings } from '@lockstep/client';
import { wildcardOf } from '@lockstep/contract';
import type { CaddyImport, Line } from './caddy-import.ts';
import {
  type CertificateDeed,
  certificateDeed,
  issuerOf,
  type NamedIssuer,
  worthTaking,
} from './certificate-deeds.ts';
import { caddyStorage } from './certificate-sources.ts';
import { type Deed, doAll } from './deeds.ts';
import { addFound, type Finds, filesBelow, isFolder, pemFiles, readSmall } from './found-certificate.ts';
import { handOver } from './hand-over.ts';
import type { ImportTarget } from './import-target.ts';
import { printPlan } from './print-plan.ts';
import { readCaddy } from './read-caddy.ts';

export interface ImportCaddyOptions extends ImportTarget {
  source: string;
  storage: string | null;
  caddy: string;
  /** Where the control plane speaks Caddy's admin API, where routes are to be given back there as they stood. */
  caddyApi: string | null;
}

/** Takes over what a Caddy serves, or says what that would be. Resolves with the exit code: 1 where something was refused. */
export async function importCaddy(options: ImportCaddyOptions): Promise<number> {
  const { apply, client, output } = options;
  const { json, line: print } = output;
  const config = await readCaddy(options.source, options.caddy);
  const plan = translateCaddy(config, { readFile: readSmall });
  const [settings, known] = await Promise.all([
    client.settings.get(),
    Array.fromAsync<Issuer>(client.issuers.list()),
  ]);
  const found = findAll(plan, options.storage);
  const lines: Line[] = found.faults.map(({ from, detail }) => ({ at: from, detail }));
  const issuers = issuerDeeds(plan, known, lines);
  const change = settingsDeed(plan, settings, lines);
  const all = [...known, ...plan.issuers.map(namedIssuer)];
  const chain = change?.issuers ?? settings.issuers;
  const todo: CaddyImport = {
    plan,
    issuers,
    settings: change?.deed ?? null,
    certificates: certificateDeeds(plan, found, { issuers: all, first: chain[0] ?? null, lines }),
    routes: plan.routes.map(({ id, body }) => ({
      what: `route ${id}`,
      method: 'PUT',
      path: `/v1/routes/${encodeURIComponent(id)}`,
      body,
    })),
    lines,
  };
  printPlan(todo, json, print);
  if (!apply) {
    if (!json) print('\nNothing is done yet: --apply does it.');
    return 0;
  }
  let refused = 0;
  // In this order: what a route or a certificate names has to be there.
  for (const deeds of [
    todo.issuers,
    todo.settings === null ? [] : [todo.settings],
    todo.certificates,
    todo.routes,
  ])
    refused += (await doAll(client, deeds, print)).refused;
  const { caddyApi, token } = options;
  if (caddyApi !== null)
    for (const { id, detail } of await handOver(wholeRoutesOf(config, plan.routes), { caddyApi, token }))
      if (!json) print(`route ${id} is shown at ${caddyApi} as Lockstep has it: ${detail}`);
  if (!json)
    print(
      refused === 0
        ? '\nAll of it is done. `lockstep route ls` shows how far each route is.'
        : `\nDone, but for ${refused} that were refused, by the lines above.`,
    );
  return refused > 0 ? 1 : 0;
}

function findAll(plan: Plan, storage: string | null): Finds {
  const finds: Finds = { certificates: [], faults: [] };
  const add = (from: string, look: () => Finds) => {
    try {
      const more = look();
      finds.certificates.push(...more.certificates);
      finds.faults.push(...more.faults);
    } catch (error) {
      finds.faults.push({ from, detail: `cannot be read: ${(error as Error).message}` });
    }
  };
  const folder = storage ?? plan.storage;
  if (folder === null)
    finds.faults.push({
      from: 'storage',
      detail: 'is not known, so no certificate is taken over; name its folder with --storage',
    });
  else if (isFolder(folder)) add(folder, () => caddyStorage(folder));
  else
    finds.faults.push({
      from: folder,
      detail: 'is no folder here; name that of the certificates with --storage',
    });
  for (const { certificate, key, at } of plan.certificateFiles)
    add(at, () => {
      const pair = pemFiles([certificate, key]);
      if (pair.certificates.length + pair.faults.length > 0) return pair;
      return { ...pair, faults: [{ from: certificate, detail: 'holds no certificate of a host' }] };
    });
  for (const { folder: loaded, at } of plan.certificateFolders) add(at, () => pemFiles(filesBelow(loaded)));
  for (const { chain, key, at } of plan.certificates) addFound(finds, { chain, key, from: at });
  return finds;
}

/** An issuer that is there stays as it is. */
function issuerDeeds(plan: Plan, known: readonly Issuer[], lines: Line[]): Deed[] {
  return plan.issuers.flatMap((issuer) => {
    if (known.some(({ name }) => name === issuer.name)) {
      if (issuer.body !== null)
        lines.push({
          at: issuer.at,
          detail: `the issuer "${issuer.name}" is there already, and stays as it is`,
        });
      return [];
    }
    if (issuer.body === null) return [];
    const body = withRoots(issuer, lines);
    return [
      { what: `issuer ${issuer.name}`, method: 'PUT' as const, path: `/v1/issuers/${issuer.name}`, body },
    ];
  });
}

function withRoots({ body, rootFiles, at }: PlannedIssuer, lines: Line[]): unknown {
  const roots = rootFiles.flatMap((file) => {
    try {
      return [readFileSync(file, 'utf8')];
    } catch {
      lines.push({
        at: `${at}.trusted_roots_pem_files`,
        detail: `${file} cannot be read here; put it into roots of the issuer`,
      });
      return [];
    }
  });
  return roots.length === 0 ? body : { ...body, roots: roots.join('\n') };
}

function namedIssuer({ name, body }: PlannedIssuer): NamedIssuer {
  if (body === null) return { name, type: 'internal', directory: null };
  return { name, type: body.type, directory: 'directory' in body ? body.directory : null };
}

/** A chain that somebody set stays; so does where handshakes ask. */
function settingsDeed(
  plan: Plan,
  settings: Settings,
  lines: Line[],
): { deed: Deed; issuers: string[] } | null {
  const patch: { issuers?: string[]; onDemand?: Plan['onDemand'] } = {};
  const same = JSON.stringify(plan.chain) === JSON.stringify(settings.issuers);
  if (!same && JSON.stringify(settings.issuers) === '["internal"]') patch.issuers = plan.chain;
  else if (!same)
    lines.push({
      at: 'settings.issuers',
      detail: `stays ${settings.issuers.join(', ')}; in Caddy it is ${plan.chain.join(', ')}`,
    });
  if (plan.onDemand !== null && settings.onDemand === null) patch.onDemand = plan.onDemand;
  else if (plan.onDemand !== null && settings.onDemand?.ask !== plan.onDemand.ask)
    lines.push({ at: 'settings.onDemand', detail: `stays as it is; in Caddy ${plan.onDemand.ask} is asked` });
  if (Object.keys(patch).length === 0) return null;
  const deed: Deed = { what: 'settings', method: 'PATCH', path: '/v1/settings', body: patch };
  return { deed, issuers: patch.issuers ?? settings.issuers };
}

/** Of the certificates those that a route or a handshake needs. Those of a CA are renewed by whoever is their issuer here. */
function certificateDeeds(
  plan: Plan,
  found: Finds,
  { issuers, first, lines }: { issuers: NamedIssuer[]; first: string | null; lines: Line[] },
): CertificateDeed[] {
  const hosts = new Set(plan.routes.flatMap(({ body }) => body.hosts));
  const { taken, passed } = worthTaking(found.certificates, Date.now());
  for (const { from, detail } of passed) lines.push({ at: from, detail });
  const deeds = taken.flatMap((one) => {
    const exact =
      one.names.some((name) => hosts.has(name)) || (plan.onDemand !== null && one.storage !== null);
    const covers = [...hosts].filter((host) => one.names.includes(wildcardOf(host) ?? host));
    // A name that somebody loaded is the operator's own; so is a wildcard for hosts that have routes, each with a certificate of its own.
    if (exact && one.storage !== null) return [certificateDeed(one, issuerOf(one, issuers) ?? first)];
    if (exact || covers.length > 0) return [certificateDeed(one, null)];
    lines.push({
      at: one.from,
      detail: `is for ${one.names.join(', ')}, which no route names; left where it is`,
    });
    return [];
  });
  const covered = new Set(deeds.flatMap(({ names }) => names));
  const without = [...hosts].filter((host) => !covered.has(host));
  if (without.length > 0)
    lines.push({
      at:
        without.length > 5
          ? `${without.slice(0, 5).join(', ')} and ${without.length - 5} more`
          : without.join(', '),
      detail:
        'no certificate of the same name was found to come along, so one is ordered where none is here yet',
    });
  return deeds;
}
