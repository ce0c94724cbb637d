import { randomUUID } from 'node:crypto';
import type { EdgeSettings } from '@lockstep/contract';

/** W3C Trace Context, section 3.2.2: a version that is not known may have more behind a dash; one of only zeros is invalid. */
const traceparentPattern =
  /^(?!ff)(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$|(?!00)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-))/;

/**
 * The trace that a request belongs to, as its upstream is told: the client's where it can be read, else one that begins here. The edge records
 * nothing of it, so it passes a client's on as it came. Null: none is to begin here.
 */
export function traceparentOf(
  given: string | undefined,
  requestId: string,
  settings: EdgeSettings['traceparent'],
): string | null {
  if (given !== undefined && traceparentPattern.test(given)) return given;
  if (!settings.make) return null;
  const id = (isUuid(requestId) ? requestId : randomUUID()).replaceAll('-', '');
  // Half of it names the first span as well as anything does: of this trace there is no other yet.
  return `00-${id}-${id.slice(16)}-${settings.sampled ? '01' : '00'}`;
}

/** As `randomUUID` makes them, and not all zeros. */
function isUuid(id: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id);
}
