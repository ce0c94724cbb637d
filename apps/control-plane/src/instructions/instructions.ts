import type { DnsPurpose, DnsRequirement, Route, StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { destinationOf, type Keeper } from '../dns/known-dns.ts';
import type { Zone, Zones } from '../dns/zones.ts';
import { registeredDomain } from '../names/registered-domain.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { relativeName } from './relative-name.ts';

/** A DNS that does not answer leaves its page without the name of who keeps it. */
const patienceMs = 3_000;

/** What the owner of a domain has to do in the DNS for a route, put for a person to read. */
export interface Instructions {
  hosts: HostInstructions[];
  /** Since when what is told has been so at least, of those that were looked at; null: none was. */
  seenAt: string | null;
  /** Of all records, how many have nothing left to do. */
  right: number;
  /** And how many nobody has looked at. */
  unseen: number;
  records: number;
}

export interface HostInstructions {
  host: string;
  zone: string;
  keeper: Keeper | null;
  nameServers: string[];
  /** When it was looked at last; null: never. */
  seenAt: string | null;
  records: RecordInstructions[];
  /** What is wrong and what to do, in sentences; none where all is right. */
  advice: string[];
  /** Why no record is asked for; null: there is one. */
  nothingAsked: 'cdn' | 'none' | null;
}

export interface RecordInstructions {
  type: DnsRequirement['type'];
  /** What goes into the name field of the panel; empty: nothing. Of `HTTP` the address. */
  name: string;
  wholeName: string;
  value: string;
  purpose: DnsPurpose;
  /** `spare`: others of its kind are there, and are enough. `unseen`: nobody has looked. */
  state: 'right' | 'spare' | 'unseen' | 'open';
  found: string[] | null;
  /** What of that has to go for this record to count. */
  remove: string[];
}

export interface InstructionsSource {
  /** `only`: for one of its hosts. Throws `invalid_request` where that is none of them. */
  of(route: Route, only?: string): Promise<Instructions>;
}

export function createInstructions({
  store,
  zones,
}: {
  store: ConfigStore;
  zones: Zones;
}): InstructionsSource {
  async function forHost(
    route: Route,
    host: string,
    order: StoredRecord<'order'> | null,
  ): Promise<HostInstructions> {
    const { seenDns, waitingForDns } = order?.value ?? { seenDns: null, waitingForDns: null };
    const seen = seenDns === null || seenDns.traffic === 'elsewhere' ? null : seenDns.traffic;
    const zone = await zoneOf(host, seen?.zone === true);
    const rows = route.status.dnsRequirements.filter((row) => row.host === host);
    const records = await Promise.all(rows.map((row) => forRecord(row, rows, zone)));
    const hints = rows.flatMap(({ ok, hint }) => (ok || hint === null ? [] : [hint]));
    const waits = waitingForDns !== null && rows.every(({ ok }) => ok) ? [waitingForDns.detail] : [];
    const isProxied = route.dns?.proxiedBy !== undefined || seenDns?.traffic === 'elsewhere';
    return {
      host,
      zone: zone.name,
      keeper: zone.keeper,
      nameServers: zone.nameServers,
      seenAt: seenDns?.at ?? null,
      records,
      advice: [...new Set([...hints, ...waits])],
      nothingAsked: rows.length > 0 ? null : isProxied ? 'cdn' : 'none',
    };
  }

  async function forRecord(
    row: DnsRequirement,
    rows: DnsRequirement[],
    zoneOfHost: Zone,
  ): Promise<RecordInstructions> {
    const { type, name, value, purpose, found } = row;
    const own = type === 'HTTP' ? name : relativeName(name, zoneOfHost.name);
    // Where a CNAME leads to another domain, its records are kept there.
    const zone = own === null ? await zoneOf(name) : zoneOfHost;
    const relative = own ?? relativeName(name, zone.name) ?? name;
    return {
      type,
      name: relative === '' ? (zone.keeper?.itself ?? '@') : relative,
      wholeName: name,
      value,
      purpose,
      state: stateOf(row),
      found,
      remove: toRemove(row, rows),
    };
  }

  async function zoneOf(host: string, own = false): Promise<Zone> {
    const late = Promise.withResolvers<Zone>();
    const timer = setTimeout(
      () => late.resolve({ name: registeredDomain(host), nameServers: [], keeper: null }),
      patienceMs,
    );
    try {
      return await Promise.race([zones.of(host, own), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async of(route, only) {
      const all = route.status.hosts.map(({ host }) => host);
      // What there is of a host that is not proven may be somebody else's.
      const proven = route.status.hosts.flatMap(({ host, state }) =>
        state === 'waiting_for_ownership' ? [] : [host],
      );
      if (only !== undefined && !all.includes(only))
        throw invalidField('host', `"${only}" is no host of this route; it has ${all.join(', ')}`);
      const hosts = only === undefined ? all : [only];
      const orders = await store.getMany('order', hosts);
      const instructions = await Promise.all(
        hosts.map((host, index) =>
          forHost(route, host, proven.includes(host) ? (orders[index] ?? null) : null),
        ),
      );
      const records = instructions.flatMap((one) => one.records);
      return {
        hosts: instructions,
        seenAt: oldest(instructions),
        right: records.filter(({ state }) => state === 'right' || state === 'spare').length,
        unseen: records.filter(({ state }) => state === 'unseen').length,
        records: records.length,
      };
    },
  };
}

function stateOf({ ok, type, value, purpose, found, hint }: DnsRequirement): RecordInstructions['state'] {
  if (!ok) return found === null && hint === null ? 'unseen' : 'open';
  const isOneOfMany = purpose === 'traffic' && type !== 'CNAME';
  return isOneOfMany && found !== null && !found.includes(value) ? 'spare' : 'right';
}

function oldest(hosts: HostInstructions[]): string | null {
  const [first = null] = hosts.flatMap(({ seenAt }) => seenAt ?? []).sort();
  return first;
}

/**
 * What stands in the way: for visitors an address or a name that leads elsewhere. A proxy's own addresses are not what its owner sees, and
 * TXT and CAA records stand beside others.
 */
function toRemove({ purpose, type, ok, found }: DnsRequirement, rows: DnsRequirement[]): string[] {
  if (ok || found === null || (purpose !== 'traffic' && type !== 'CNAME')) return [];
  const wanted = rows.map(({ value }) => value);
  return found.filter((one) => !wanted.includes(one) && destinationOf(one)?.name !== 'Cloudflare');
}
