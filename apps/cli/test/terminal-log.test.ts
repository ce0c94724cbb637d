import { pino } from 'pino';
import t from 'tap';
import { createTerminalLog } from '../src/up/terminal-log.ts';

t.test('a line on the terminal says what, of whom and why', async (t) => {
  const lines: string[] = [];
  const log = pino(
    { level: 'warn' },
    createTerminalLog((line) => lines.push(line)),
  );
  log.warn({ node: 'edge-1', reason: 'is lost' }, 'a node is not in step');
  log.warn(
    { certificate: 'shop.example.com', issuer: 'le', err: new Error('it says 503') },
    'an attempt failed',
  );
  log.error({ from: 7, to: null, records: ['route/shop'] }, 'the history went back');
  log.error(new Error('alone'));
  t.same(lines, [
    '  ! edge-1: a node is not in step (reason is lost)',
    '  ! an attempt failed: it says 503 (certificate shop.example.com, issuer le)',
    '  ! the history went back (from 7)',
    '  ! alone',
  ]);
});
