import t from 'tap';
import { WaitingLine } from '../../../src/native/upstreams/waiting-line.ts';

const one = (client: string, name: number) => ({ client, name });
type One = ReturnType<typeof one>;
const names = (all: (One | null)[]) => all.map((each) => each && `${each.client}${each.name}`);

function lineOf(...all: One[]): WaitingLine<One> {
  const line = new WaitingLine<One>();
  all.forEach((each, i) => void line.add(each, i));
  return line;
}

t.test('takes clients in turns, and the requests of each in their order', async (t) => {
  const line = lineOf(one('a', 1), one('a', 2), one('a', 3), one('b', 1), one('c', 1), one('c', 2));
  t.equal(line.size, 6);
  t.same(names(Array.from({ length: 7 }, () => line.next())), ['a1', 'b1', 'c1', 'a2', 'c2', 'a3', null]);
  t.equal(line.size, 0);
});

t.test('forgets who goes, once', async (t) => {
  const [gone, stays] = [one('a', 1), one('b', 1)];
  const line = lineOf(gone, stays);
  line.delete(gone);
  line.delete(gone);
  line.delete(one('c', 1));
  t.equal(line.size, 1);
  t.same(names([line.next(), line.next()]), ['b1', null]);
});

t.test('in a full line the latest of who has most there gives way to who has less', async (t) => {
  const line = lineOf(one('a', 1), one('a', 2), one('a', 3), one('b', 1));
  t.same(names([line.giveWay('c'), line.giveWay('b'), line.giveWay('a')]), ['a3', null, null]);
  t.equal(line.size, 3);
});

t.test('tells who has waited long enough, and when the next has', async (t) => {
  const line = lineOf(one('a', 1), one('b', 1), one('a', 2));
  t.equal(line.earliest, 0);
  t.same(names(line.expire(1)), ['a1', 'b1']);
  t.equal(line.earliest, 2);
  t.same(names(line.clear()), ['a2']);
  t.same([line.size, line.earliest, line.next()], [0, Number.POSITIVE_INFINITY, null]);
});
