import t from 'tap';
import { parseWait } from '../../src/api/prefer.ts';

t.test('reads the wait, caps it at 300 s and passes over what it does not know', async (t) => {
  const cases: [string | string[] | undefined, number | null][] = [
    [undefined, null],
    ['', null],
    ['respond-async', null],
    ['wait=60', 60],
    ['respond-async, wait=5', 5],
    ['wait=5, respond-async', 5],
    ['Wait = "7"; x=y', 7],
    [['respond-async', 'wait=9'], 9],
    ['wait=0', 0],
    ['wait=86400', 300],
    ['wait=9999999999999', 300],
    [`wait=${'9'.repeat(400)}`, 300],
    ['foo="a, wait=200", wait=8', 8],
    ['foo="a, wait=200"', null],
    ['foo="\\", wait=200"', null],
    ['foo; wait=200', null],
    ['waiting=200', null],
    [';;;,,,=', null],
  ];
  for (const [header, seconds] of cases) t.equal(parseWait(header), seconds, JSON.stringify(header));
});

t.test(
  'passes over a wait that is no number of seconds, and counts the first of several alone',
  async (t) => {
    for (const header of ['wait', 'wait=', 'wait=1.5', 'wait=-1', 'wait=1m', 'wait="5', 'wait=٣', 'wait=1 2'])
      t.equal(parseWait(header), null, header);
    t.equal(parseWait('wait=1, wait=200'), 1);
    t.equal(parseWait(['wait=soon', 'wait=200']), null);
  },
);

t.test('reads the longest field in a moment, however it is quoted', async (t) => {
  for (const part of ['"', '\\"', '"\\', 'wait ', 'a"', ','])
    t.equal(parseWait(part.repeat(16_384 / part.length)), null, part);
});
