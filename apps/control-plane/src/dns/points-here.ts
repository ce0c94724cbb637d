import type { DnsRequirement, SeenTraffic } from '@lockstep/contract';
import { isRegistrable } from '../names/registered-domain.ts';
import { fleetTargets } from './fleet-targets.ts';
import { type Destination, destinationOf, keeperNamed } from './known-dns.ts';
import { typeOf, wantedRecords, whatToDo } from './wanted-records.ts';

export interface PointsHere {
  ok: boolean;
  /** A sentence that the owner of the host can act on. */
  detail: string;
  /** The records that lead it here, whether they are there or not. */
  requirements: DnsRequirement[];
}

/**
 * Whether a host leads to the fleet and nowhere else, by what was seen of it (null: nothing yet): its CNAME records reach one of the fleet's
 * names, or each of its addresses is the fleet's. One address that is not is enough for a no: the CA takes any of them. `edgeAddresses` are
 * IP addresses, ranges of them and names; none: not checked. `fleet`: what the names resolve to, where the look did not come to that.
 */
export function pointsHere(
  host: string,
  seen: SeenTraffic | null,
  edgeAddresses: readonly string[],
  fleet: SeenTraffic['fleet'] = {},
): PointsHere {
  if (edgeAddresses.length === 0) return { ok: true, detail: 'not checked', requirements: [] };
  const targets = fleetTargets(edgeAddresses);
  const { names } = targets;
  const resolved = names.flatMap((name) => seen?.fleet[name] ?? fleet[name] ?? []);
  const apex = isRegistrable(host) || seen?.zone === true;
  const keeper = keeperNamed(seen?.keeper ?? null);
  const wanted = wantedRecords({ host, targets, resolved, apex, keeper });
  const rows = wanted.records.map(
    (record): DnsRequirement => ({
      host,
      ...record,
      purpose: 'traffic',
      found: null,
      ok: false,
      hint: null,
    }),
  );
  if (seen === null) return { ok: false, detail: `${host} was not looked at yet`, requirements: rows };
  const { chain, addresses, failure } = seen;
  if (failure !== null) {
    const detail = `${host} could not be checked: ${failure}`;
    return { ok: false, detail, requirements: rows.map((row) => ({ ...row, hint: detail })) };
  }

  const reached = chain.find((target) => names.includes(target));
  const present = addresses ?? [];
  const isOurs = (address: string) => resolved.includes(address) || targets.given.has(address);
  const foreign = reached === undefined ? present.filter((address) => !isOurs(address)) : [];
  const ok = reached !== undefined || (present.length > 0 && foreign.length === 0);
  const there = rows.map((row, index): DnsRequirement => {
    const isMine = (address: string) =>
      row.type === 'CNAME' || typeOf(address) === row.type || (index === 0 && !isAsked(rows, address));
    const found = chain.length > 0 ? chain.slice(0, 1) : present.filter(isMine);
    const right = chain.length === 0 && present.includes(row.value) && !foreign.some(isMine);
    return { ...row, found, ok: ok || right };
  });
  if (ok) {
    const detail = `${host} leads to ${reached ?? present.join(', ')}`;
    return { ok, detail, requirements: there };
  }

  /** `advice` names the records, for whoever reads it alone; `action` stands beside one of them. */
  const no = (what: string, advice: string, action: string): PointsHere => {
    const hint = [`${host} ${what}`, action, wanted.instead ?? ''].filter((part) => part !== '').join(' ');
    return {
      ok: false,
      detail: advice === '' ? `${host} ${what}` : `${host} ${what} ${advice}`,
      requirements: there.map((row) => (row.ok ? row : { ...row, hint })),
    };
  };
  const create = whatToDo(rows, true);
  const replace = whatToDo(rows, false);
  if (addresses === null) return no(`leads to ${chain.at(-1)}.`, wanted.advice, replace);
  if (present.length === 0) {
    if (chain.length === 0) return no('has no address in the DNS yet.', wanted.advice, create);
    return no(`leads to ${nameTarget(chain)}, which has no address.`, wanted.advice, replace);
  }
  if (seen.fleetFailure !== null) {
    const what = `leads to ${foreign.join(', ')}; whether that is here could not be checked: ${seen.fleetFailure}`;
    return no(what, '', '');
  }
  const { text, destination } = describeElsewhere(chain, foreign);
  if (foreign.length < present.length) {
    const remove =
      `Remove the ${recordTypes(foreign)} record${foreign.length > 1 ? 's' : ''} ` +
      `with ${foreign.join(', ')}.`;
    const what = `leads here, but also to ${text}: visitors and the certificate authority may be sent there.`;
    return no(what, remove, remove);
  }
  if (destination?.name === 'Cloudflare' && chain.length === 0) {
    const last =
      'At Cloudflare it has to be “DNS only”, not “Proxied”; where the record is there already, that switch is all there is to do.';
    return no(`leads to ${text}.`, `${wanted.advice} ${last}`, `${replace} ${last}`);
  }
  const parked = destination?.kind === 'parking' ? ', and turn off parking and forwarding of the domain' : '';
  return no(
    `leads to ${text}.`,
    `${wanted.advice} Remove what is there now${parked}.`,
    `${replace.slice(0, -1)}${parked}.`,
  );
}

/** Where a host leads that does not lead here, and what of that is known. */
function describeElsewhere(
  chain: string[],
  foreign: string[],
): { text: string; destination: Destination | null } {
  const target = chain.at(-1);
  const found =
    target === undefined ? foreign.map(destinationOf) : [destinationOf(target) ?? destinationOf(chain[0]!)];
  const [destination = null] = new Set(found).size === 1 ? found : [];
  const where = target === undefined ? foreign.join(', ') : `${target} (${foreign.join(', ')})`;
  if (destination === null) return { text: `${where}, which is elsewhere`, destination };
  const { what } = destination;
  if (target !== undefined) return { text: `${where}, which is ${what}`, destination };
  return { text: `${where}, ${foreign.length > 1 ? 'addresses' : 'an address'} of ${what}`, destination };
}

function nameTarget(chain: string[]): string {
  const target = chain.at(-1)!;
  const what = destinationOf(target)?.what;
  return what === undefined ? target : `${target} (${what})`;
}

/** What is asked of a host that is reached through a CDN: to lead somewhere. Where that is, and whether the CDN leads here, the DNS does not tell. */
export function leadsToCdn(host: string, seen: SeenTraffic): Pick<PointsHere, 'ok' | 'detail'> {
  const no = (what: string) => ({ ok: false, detail: `${host} ${what}` });
  const { chain, failure } = seen;
  if (failure !== null) return no(`could not be checked: ${failure}`);
  const addresses = seen.addresses ?? [];
  const target = chain.at(-1);
  if (addresses.length > 0) {
    const to = target ?? addresses.join(', ');
    return { ok: true, detail: `${host} leads to ${to}, which is taken for its CDN` };
  }
  const advice = 'Create the records that its CDN asks for.';
  if (target === undefined) return no(`has no address in the DNS yet. ${advice}`);
  return no(`leads to ${target}, which has no address. ${advice}`);
}

function isAsked(rows: DnsRequirement[], address: string): boolean {
  return rows.some(({ type }) => type === typeOf(address));
}

function recordTypes(addresses: string[]): string {
  return [...new Set(addresses.map(typeOf))].sort().join(' and ');
}
