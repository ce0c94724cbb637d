import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commits } from './commits.ts';
import { events } from './events.ts';
import { following } from './following.ts';
import { history } from './history.ts';
import { journal } from './journal.ts';
import { leases } from './leases.ts';
import { log } from './log.ts';
import { presence } from './presence.ts';
import { reads } from './reads.ts';
import { turns } from './turns.ts';

/** What every backend guarantees. */
export async function conformance(t: Test, backend: Backend): Promise<void> {
  for (const suite of [commits, reads, log, journal, events, leases, presence, turns, following, history]) {
    await t.test(`${backend.name}: ${suite.name}`, (t) => suite(t, backend));
  }
}
