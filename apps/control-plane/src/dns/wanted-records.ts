import { isIP } from 'node:net';
import type { DnsRequirement } from '@lockstep/contract';
import type { FleetTargets } from './fleet-targets.ts';
import type { Keeper } from './known-dns.ts';

export interface WantedRecords {
  records: Pick<DnsRequirement, 'type' | 'name' | 'value'>[];
  /** Which records to create, in a sentence. */
  advice: string;
  /** What there may be in place of these records; null: nothing. */
  instead: string | null;
}

interface Wanting {
  host: string;
  targets: FleetTargets;
  /** The addresses of the fleet's names. */
  resolved: string[];
  /** It cannot have a CNAME: where a zone begins there is SOA and NS, and beside a CNAME there may be nothing (RFC 1034, section 3.6.2). */
  apex: boolean;
  keeper: Keeper | null;
}

/** The records that lead a host to the fleet. */
export function wantedRecords({ host, targets, resolved, apex, keeper }: Wanting): WantedRecords {
  const { addresses, ranges, names } = targets;
  const record = (type: 'A' | 'AAAA' | 'CNAME', value: string) => ({ type, name: host, value });
  const target = names.find((name) => name !== host);
  if (target !== undefined && !apex) {
    return {
      records: [record('CNAME', target)],
      advice: `Create a CNAME record for ${host} with the value ${target}.`,
      instead: null,
    };
  }
  const values = [...new Set(addresses.length > 0 ? addresses : resolved)];
  const records = values.map((value) => record(typeOf(value), value));
  const alias = target === undefined ? null : aliasFor(target, keeper, records.length > 0);
  if (records.length > 0) {
    const shown = records.map(({ type, value }) => `${type} ${value}`).join(' or ');
    return {
      records,
      advice: `Create for ${host} the record ${shown}${alias === null ? '' : `, or ${alias}`}.`,
      instead:
        alias === null
          ? null
          : `In place of ${records.length === 1 ? 'this record' : 'these records'} there may be ${alias}.`,
    };
  }
  const advice =
    alias === null
      ? `Create for ${host} a record with an address of the fleet; they are in ${ranges.join(', ')}.`
      : `Create for ${host} ${alias}.`;
  return { records, advice, instead: null };
}

/** What an apex can have in place of a CNAME, as its DNS has it; null: it has nothing of the kind, and need not. */
function aliasFor(target: string, keeper: Keeper | null, replaceable: boolean): string | null {
  const generic = `an ALIAS (ANAME, flattened CNAME) record to ${target}`;
  if (keeper === null || keeper.apex === undefined)
    return replaceable ? `${generic}, where your DNS provider has that` : generic;
  const { name, apex } = keeper;
  if (apex === false) return replaceable ? null : generic;
  if (apex === true) return `${generic}, which ${name} has`;
  return `${apex === 'CNAME' ? 'a' : 'an'} ${apex} record to ${target}, which ${name} has for this`;
}

/** What to do about them, as one reads it beside one of them. */
export function whatToDo(records: readonly unknown[], isFree: boolean): string {
  if (records.length === 1) return isFree ? 'Create this record.' : 'Put this record in its place.';
  return isFree
    ? 'Create these records; one of them is enough.'
    : 'Put these records in its place; one of them is enough.';
}

export function typeOf(address: string): 'A' | 'AAAA' {
  return isIP(address) === 4 ? 'A' : 'AAAA';
}
