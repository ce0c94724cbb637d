import type { HostInstructions, Instructions, RecordInstructions } from './instructions.ts';
import {
  afterwards,
  asOf,
  foundNote,
  labelsOf,
  nameNote,
  noRecords,
  notes,
  notSeen,
  purposes,
  shownHost,
  states,
  summary,
  title,
  typeLabel,
  whereToMake,
} from './wording.ts';

/** The instructions in plain text, as a mail can have them. */
export function asText(instructions: Instructions): string {
  const { hosts, right, records } = instructions;
  const seen = asOf(instructions);
  const parts = [
    heading(title(instructions), '='),
    seen === null ? summary(instructions) : `${summary(instructions)} ${seen}`,
    ...hosts.map((host, index) => hostText(host, hosts[index - 1])),
    ...(right < records ? [heading('What happens then', '-'), list([...notes, ...afterwards])] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

function hostText(host: HostInstructions, before: HostInstructions | undefined): string {
  const { records, advice, nothingAsked } = host;
  const place = whereToMake(host, before);
  const parts = [heading(shownHost(host.host), '-')];
  if (nothingAsked === null) {
    if (place !== null) parts.push(place.help === null ? place.text : `${place.text}\nHelp: ${place.help}`);
    parts.push(...advice, ...records.map((record) => recordText(host, record)));
    parts.push(...(notSeen(host) === null ? [] : [notSeen(host)!]));
  } else parts.push(...(advice.length > 0 ? advice : [noRecords[nothingAsked]]));
  return parts.join('\n\n');
}

function recordText(host: HostInstructions, record: RecordInstructions): string {
  const { state, name, value, purpose } = record;
  const labels = labelsOf(host, record);
  const note = nameNote(host, record);
  const found = foundNote(record);
  const lines: [string, string][] = [
    ['Type', typeLabel(record)],
    [labels.name, [name, note === null ? '' : `(${note})`].filter((part) => part !== '').join('  ')],
    [labels.value, value],
    ['What for', purposes[purpose]],
    ...(found === null ? [] : [['There now', found] as [string, string]]),
  ];
  const width = Math.max(...lines.map(([label]) => label.length)) + 2;
  const text = lines.map(([label, content]) => `    ${`${label}:`.padEnd(width)}${content}`);
  return [`${boxes[state]} ${states[state]}`, ...text].join('\n');
}

const boxes = { right: '[x]', spare: '[-]', unseen: '[?]', open: '[ ]' } as const;

function heading(text: string, line: string): string {
  return `${text}\n${line.repeat(Math.min(text.length, 72))}`;
}

function list(items: string[]): string {
  return items.map((item) => `- ${item}`).join('\n');
}
