import type { Event, EventGap } from '@lockstep/client';
import type { Session } from '../session/open-session.ts';
import { momentOf } from './moment.ts';

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
  const from = since === undefined ? null : momentOf(since, '--since', Date.now());
  const filter = { types: type, route, host, tenant, since: from === null ? since : 'beginning' };
  const events = follow ? client.events.follow(filter) : client.events.list(filter);
  for await (const event of events) {
    if (from !== null && event.type !== 'gap' && Date.parse(event.occurredAt) < from) continue;
    output.line(output.json ? JSON.stringify(event) : words(output, event));
  }
}

function words(output: Session['output'], event: Event | EventGap): string {
  if (event.type === 'gap') return output.paint('yellow', 'events between are no longer kept');
  const { occurredAt, type, subject, data } = event;
  const { hosts, detail, reason } = data as { hosts?: string[]; detail?: string; reason?: string };
  const more = detail ?? reason ?? hosts?.join(', ');
  const style = /failed|failing|lost|refused|behind|out_of_step|expiring|near/.test(type) ? 'red' : 'green';
  return `${occurredAt}  ${output.paint(style, type.padEnd(22))}  ${subject.id}${more === undefined ? '' : `  ${more}`}`;
}
