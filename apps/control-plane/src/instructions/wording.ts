import { domainToUnicode } from 'node:url';
import type { DnsPurpose } from '@lockstep/contract';
import { destinationOf } from '../dns/known-dns.ts';
import type { HostInstructions, Instructions, RecordInstructions } from './instructions.ts';

/** The sentences of the instructions, the same as text and as a page. They speak for whoever serves the site. */
export const purposes: Record<DnsPurpose, string> = {
  traffic: 'leads visitors to us',
  ownership: 'shows that the domain is yours',
  challenge: 'lets the certificate authority see that the domain is yours, now and at each renewal',
  caa: 'allows the certificate authority to issue a certificate',
};

/** With the letters that its owner knows it by, where those are others. */
export function shownHost(host: string): string {
  const letters = domainToUnicode(host.replace(/^\*\./, ''));
  const whole = host.startsWith('*.') ? `*.${letters}` : letters;
  return letters === '' || whole === host ? host : `${whole} (${host})`;
}

export function title({ hosts }: Instructions): string {
  const [first, ...more] = hosts.map(({ host }) => shownHost(host));
  if (first === undefined) return 'DNS records';
  if (more.length === 0) return `DNS records for ${first}`;
  if (more.length === 1) return `DNS records for ${first} and ${more[0]}`;
  return `DNS records for ${first} and ${more.length} more names`;
}

export function summary({ right, unseen, records, hosts }: Instructions): string {
  if (records === 0) return 'No DNS records are asked for.';
  const many = hosts.length > 1 ? 'these names' : 'this name';
  if (right === records)
    return records === 1
      ? 'The record is right: there is nothing left to do. Please leave it as it is.'
      : `All ${records} records are right: there is nothing left to do. Please leave them as they are.`;
  const needs = `For us to serve ${many}, the DNS of the domain has to have the records below.`;
  if (records === 1) return needs.replace('records', 'record');
  if (unseen === records) return needs;
  return `${needs} ${right === 0 ? 'None' : right} of the ${records} ${right === 1 ? 'is' : 'are'} right by now.`;
}

/** Where the records of a host are made, and the help of whoever that is with, where it has not been said. */
export function whereToMake(host: HostInstructions, before: HostInstructions | undefined) {
  if (before?.zone === host.zone) return null;
  return { text: placeOf(host), help: host.keeper?.help ?? null };
}

function placeOf({ zone, keeper, nameServers }: HostInstructions): string {
  const servers = nameServers.slice(0, 4).join(', ');
  if (keeper !== null)
    return `The DNS of ${shownHost(zone)} is kept by ${keeper.name} (name servers: ${servers}). That is where the records are made.`;
  if (nameServers.length > 0)
    return `The name servers of ${shownHost(zone)} are ${servers}. The records are made with whoever runs these.`;
  return `The records are made where the DNS of ${shownHost(zone)} is managed, as a rule with whoever the domain was registered with.`;
}

/** What a record is made of, each with its label. Its name comes with a note. */
export function labelsOf({ keeper }: HostInstructions, { type }: RecordInstructions) {
  return type === 'HTTP'
    ? { name: 'Address', value: 'Answers' }
    : { name: keeper?.field ?? 'Name', value: 'Value' };
}

export function typeLabel({ type }: RecordInstructions): string {
  return type === 'HTTP' ? 'a page of the site, in place of the TXT record' : type;
}

/** What goes into the name field, and what that stands for. */
export function nameNote({ keeper }: HostInstructions, record: RecordInstructions): string | null {
  const { name, wholeName, type } = record;
  if (type === 'HTTP') return null;
  if (name === '') return `leave this empty: it stands for ${wholeName} itself`;
  if (name !== '@') return `for ${wholeName}`;
  const others = keeper === null ? '; some panels want it empty, or the whole name' : '';
  return `stands for ${wholeName} itself${others}`;
}

export const states: Record<RecordInstructions['state'], string> = {
  right: 'right',
  spare: 'not needed: what is there is enough. Another address for visitors, should the first fail',
  unseen: 'not looked at yet',
  open: 'to do',
};

/** What stands there now, for a person. Null: there is nothing to say of it. */
export function foundNote({ found, state, remove, value, purpose }: RecordInstructions): string | null {
  if (found === null || state === 'spare') return null;
  if (state === 'right') {
    if (found.includes(value) || found.length === 0) return null;
    return purpose === 'traffic' ? `${found.join(', ')}, which leads to us too` : found.join(', ');
  }
  if (found.length === 0) return 'nothing';
  return found
    .map((one) => {
      const what = destinationOf(one)?.what;
      return remove.includes(one) ? `${one} (remove it)` : what === undefined ? one : `${one} (${what})`;
    })
    .join(', ');
}

export const noRecords = {
  cdn: 'This name is behind a CDN: it has the records that the CDN asks for, and needs none of us.',
  none: 'For this name there is no record that could be told here.',
} as const;

export function asOf({ seenAt }: Instructions): string | null {
  if (seenAt === null) return null;
  return `This is how we saw the DNS on ${seenAt.slice(0, 10)} at ${seenAt.slice(11, 16)} UTC.`;
}

/** Null where it was looked at, if not for every purpose. */
export function notSeen({ records }: HostInstructions): string | null {
  if (!records.some(({ state }) => state === 'unseen')) return null;
  return records.every(({ state }) => state === 'unseen')
    ? 'We have not looked at this name yet.'
    : 'Where it leads we look at once it is shown to be yours; you need not wait for that.';
}

export const notes = [
  'Where a time to live (TTL) can be chosen, leave what is proposed, or take 300 seconds while you change things.',
  'A value that is a name is a whole name: where your panel adds your domain to it, end it with a dot.',
];

export const afterwards = [
  'A change is seen everywhere once what was there before has left the caches: as a rule within minutes, at the latest after the TTL of the old record.',
  'We look again by ourselves, at first every few seconds and then ever more rarely, at least once an hour. You need not tell us.',
  'When all is right we get the certificate, and serve the site over https. Leave the records in place: each renewal rests on them.',
];
