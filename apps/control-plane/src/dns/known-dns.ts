import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import { type AddressRanges, createAddressRanges } from '@lockstep/contract';

/** Who runs the DNS of zones, as `known/keepers.json` has it. */
export interface Keeper {
  name: string;
  /** Ends of the names of its name servers; `*` stands for a part of a label. */
  nameServers: string[];
  /** How the record is called there that follows a name where there can be no CNAME; true: there is one, false: none, left out: not known. */
  apex?: string | boolean;
  /** The label of the field for a record's name. */
  field?: string;
  /** What stands in that field for the domain itself; left out: `@`. */
  itself?: string;
  help?: string;
}

/** Where names often lead before they lead here, as `known/destinations.json` has it. */
export interface Destination {
  name: string;
  /** Completes "an address of …". */
  what: string;
  /** `proxy`: it stands before a site, and the DNS does not tell whose. */
  kind: 'proxy' | 'site' | 'parking';
  ranges: string[];
  /** Ends of names, as in `nameServers`. */
  names: string[];
}

const require = createRequire(import.meta.url);
let all: Keeper[] | null = null;
let places: { destination: Destination; ranges: AddressRanges }[] | null = null;

/** Read by whoever asks first: few processes have to. */
export function keepers(): Keeper[] {
  all ??= (require('./known/keepers.json') as { keepers: Keeper[] }).keepers;
  return all;
}

export function destinations(): Destination[] {
  return known().map(({ destination }) => destination);
}

function known() {
  places ??= (require('./known/destinations.json') as { destinations: Destination[] }).destinations.map(
    (destination) => ({ destination, ranges: createAddressRanges(destination.ranges) }),
  );
  return places;
}

/** Null where it is none that is known, or where several share the zone. */
export function keeperOf(nameServers: readonly string[]): Keeper | null {
  const found = new Set(
    nameServers.map((server) =>
      keepers().find((keeper) => keeper.nameServers.some((end) => endsIn(server, end))),
    ),
  );
  return found.size === 1 ? ([...found][0] ?? null) : null;
}

export function keeperNamed(name: string | null): Keeper | null {
  return name === null ? null : (keepers().find((keeper) => keeper.name === name) ?? null);
}

/** Whose an address is, or a name that a CNAME leads to. */
export function destinationOf(target: string): Destination | null {
  const place =
    isIP(target) === 0
      ? known().find(({ destination }) => destination.names.some((end) => endsIn(target, end)))
      : known().find(({ destination, ranges }) => destination.ranges.length > 0 && ranges.has(target));
  return place?.destination ?? null;
}

/** Whether a name is `end`, or below it. */
export function endsIn(name: string, end: string): boolean {
  const labels = name.toLowerCase().split('.');
  const wanted = end.split('.');
  const tail = labels.slice(-wanted.length);
  return tail.length === wanted.length && wanted.every((label, index) => isLabel(tail[index]!, label));
}

function isLabel(label: string, pattern: string): boolean {
  const [start = '', rest] = pattern.split('*');
  return rest === undefined ? label === pattern : label.startsWith(start) && label.endsWith(rest);
}
