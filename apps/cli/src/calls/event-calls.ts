import type { Event, EventGap } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import type { Session } from '../session/open-session.ts';

export interface EventsFlags {
  follow?: boolean;
  type?: string[];
  route?: string;
  host?: string;
  tenant?: string;
  since?: string;
}

/** A line for each, as they come: words for people, JSON for programs. */
export async function showEvents({ client, output }: Session, flags: EventsFlags): Promise<void> {
  const { follow, type, route, host, tenant, since } = flags;
  const from = momentOf(since, Date.now());
  const filter = { types: type, route, host, tenant, since: from === null ? since : 'beginning' };
  const events = follow ? client.events.follow(filter) : client.events.list(filter);
  for await (const event of events) {
    if (from !== null && event.type !== 'gap' && Date.parse(event.occurredAt) < from) continue;
    output.line(output.json ? JSON.stringify(event) : words(output, event));
  }
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** When that is, for what is a time, or so long ago; null for what says it otherwise. */
export function momentOf(since: string | undefined, now: number): number | null {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(since ?? '') ?? [];
  if (count !== undefined) return now - Number(count) * unitMs[unit as keyof typeof unitMs];
  if (!/^\d{4}-\d\d-\d\d/.test(since ?? '')) return null;
  const moment = Date.parse(since!);
  if (Number.isNaN(moment)) throw new AppError('bad_configuration', `--since: "${since}" is no date`);
  return moment;
}

function words(output: Session['output'], event: Event | EventGap): string {
  if (event.type === 'gap') return output.paint('yellow', 'events between are no longer kept');
  const { occurredAt, type, subject, data } = event;
  const { hosts, detail, reason } = data as { hosts?: string[]; detail?: string; reason?: string };
  const more = detail ?? reason ?? hosts?.join(', ');
  const style = /failed|failing|lost|refused|behind|out_of_step|expiring|near/.test(type) ? 'red' : 'green';
  return `${occurredAt}  ${output.paint(style, type.padEnd(22))}  ${subject.id}${more === undefined ? '' : `  ${more}`}`;
}
