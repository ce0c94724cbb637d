import { DnsFailure } from './dns-failure.ts';
import type { DnsLookup } from './dns-lookup.ts';
import { formatServerAddress } from './server-address.ts';

export interface PropagationQuestion extends ServersQuestion {
  value: string;
}

export interface ServersQuestion {
  name: string;
  /** Asked instead of the servers that the zone's NS records name; empty: those. */
  authoritativeServers: readonly string[];
  /** Of the servers that NS records name; other than 53 in tests only. */
  port?: number;
}

export interface Propagation {
  /** Every name server that answers has the record, and at least half of them answer. */
  done: boolean;
  /** What is not there yet, by server: `ns1.example.com (192.0.2.53): does not have the record yet`. Empty when done. */
  missing: string[];
}

/** A zone may name servers without end; a CA asks one or two of them. */
const maxServers = 16;
const maxAddresses = 8;

interface NameServer {
  name: string;
  /** As `host:port`; none: its name could not be resolved. */
  addresses: string[];
}

/**
 * Whether a CA would find the TXT record whichever name server it asks. A server that answers without the record is a no: the
 * CA may get the same answer. One that does not answer sends the CA on to the next, so it does not hold up the order; but where
 * most are silent, it is more likely this network than theirs, and nothing is known. Never rejects for what the DNS says.
 */
export async function checkPropagation(
  lookup: DnsLookup,
  { value, ...question }: PropagationQuestion,
): Promise<Propagation> {
  try {
    const states = await askServers(lookup, { ...question, has: (values) => values.includes(value) });
    const lacking = states.flatMap(({ lacking }) => lacking);
    const silent = states.filter(({ answered }) => !answered);
    const done = lacking.length === 0 && silent.length * 2 <= states.length;
    return { done, missing: done ? [] : [...lacking, ...silent.flatMap(({ failures }) => failures)] };
  } catch (error) {
    if (error instanceof DnsFailure) return { done: false, missing: [error.message] };
    throw error;
  }
}

/**
 * The servers that answer without the TXT record that `has` asks for. One that is silent is none of them: where no server can be asked from here,
 * nothing speaks against a record that the resolvers have. Throws `DnsFailure`.
 */
export async function findLacking(
  lookup: DnsLookup,
  question: ServersQuestion & { has(values: readonly string[]): boolean },
): Promise<string[]> {
  return (await askServers(lookup, question)).flatMap(({ lacking }) => lacking);
}

async function askServers(
  lookup: DnsLookup,
  { name, has, authoritativeServers, port = 53 }: ServersQuestion & { has(values: string[]): boolean },
) {
  const servers =
    authoritativeServers.length > 0
      ? authoritativeServers.map((server) => ({ name: server, addresses: [server] }))
      : await findNameServers(lookup, name, port);
  return Promise.all(servers.map((server) => askServer(lookup, server, name, has)));
}

/** The servers of the closest zone: RFC 1034, section 4.2.1 has an SOA record at the top of each. */
async function findNameServers(lookup: DnsLookup, name: string, port: number): Promise<NameServer[]> {
  const zone = await findZone(lookup, name);
  if (zone === null) throw new DnsFailure(`no zone was found for ${name}`);
  const names = await lookup.ns(zone);
  if (names.length === 0) throw new DnsFailure(`the zone ${zone} has no NS records`);
  return Promise.all(
    names.slice(0, maxServers).map(async (server) => {
      const addresses = await lookup.addresses(server).catch(() => []);
      return {
        name: server,
        addresses: addresses.slice(0, maxAddresses).map((host) => formatServerAddress({ host, port })),
      };
    }),
  );
}

/** The closest zone that holds a name; null when not even the top-level domain is known. */
export async function findZone(lookup: DnsLookup, name: string): Promise<string | null> {
  const labels = name.split('.');
  for (let from = 0; from < labels.length; from++) {
    const zone = labels.slice(from).join('.');
    if ((await lookup.soa(zone)).length > 0) return zone;
  }
  return null;
}

async function askServer(
  lookup: DnsLookup,
  server: NameServer,
  name: string,
  has: (values: string[]) => boolean,
) {
  const lacking: string[] = [];
  const failures: string[] = [];
  let answered = false;
  if (server.addresses.length === 0) failures.push(`${server.name}: has no address`);
  await Promise.all(
    server.addresses.map(async (address) => {
      const shown = server.name === address ? address : `${server.name} (${address})`;
      try {
        const values = await lookup.at([address]).txt(name);
        answered = true;
        if (!has(values)) lacking.push(`${shown}: does not have the record yet`);
      } catch (error) {
        if (!(error instanceof DnsFailure)) throw error;
        failures.push(`${shown}: ${error.message}`);
      }
    }),
  );
  return { lacking, failures, answered };
}
