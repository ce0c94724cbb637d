import type { AnswerHead } from './answer-head.ts';
import { ExchangeError } from './failure-cause.ts';

/** The protocol that an upstream switches to: only to what was asked for (RFC 9110, section 7.8). */
export function agreedProtocol(asked: string | null, { pairs }: AnswerHead): string {
  const name = pairs.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === 'upgrade');
  const protocol = name === -1 ? '' : pairs[name + 1]!;
  if (asked === null || protocol === '' || !listed(asked, protocol))
    throw new ExchangeError('upstream_upgrade_unasked');
  return protocol;
}

/** Whether a list of protocols, as `Upgrade` has it, names this one. */
function listed(protocols: string, one: string): boolean {
  return protocols.split(',').some((protocol) => protocol.trim().toLowerCase() === one.toLowerCase());
}
