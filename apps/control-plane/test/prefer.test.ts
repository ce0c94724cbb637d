import t from 'tap';
import { parseWait } from '../src/api/prefer.ts';

t.test('reads the wait, caps it at 300 s and ignores what it does not know', async (t) => {
  const cases: [string | string[] | undefined, number | null][] = [
    [undefined, null],
    ['respond-async', null],
    ['wait=60', 60],
    ['respond-async, wait=5', 5],
    ['Wait = "7"; x=y', 7],
    [['respond-async', 'wait=9'], 9],
    ['wait=0', 0],
    ['wait=86400', 300],
  ];
  for (const [header, seconds] of cases) t.equal(parseWait(header), seconds, JSON.stringify(header));
});

t.test('refuses a wait that is no number of seconds', async (t) => {
  for (const header of ['wait', 'wait=', 'wait=1.5', 'wait=-1', 'wait=1m'])
    t.throws(() => parseWait(header), { code: 'invalid_request' });
});
