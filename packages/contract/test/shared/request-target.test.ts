import { readFileSync } from 'node:fs';
import t from 'tap';
import { normalisePath, plainPath, readAuthority, readRequestTarget } from '../../src/index.ts';
import { PathPrefix } from '../../src/schemas.ts';

const docs = readFileSync(new URL('../../../../docs/edge-requests.md', import.meta.url), 'utf8');

/** The rows of the table that begins with this heading. */
function table(heading: string): [string, string][] {
  const [, after = ''] = docs.split(`| ${heading} |`);
  const rows = after.split('\n\n')[0]!.split('\n').slice(2);
  return rows.map((row) => {
    const [given = '', result = ''] = row.replace(/\\\|/g, '\0').split('|').slice(1, 3);
    const plain = (cell: string) => cell.replaceAll('\0', '|').trim();
    return [plain(given).replace(/^`|`$/g, ''), plain(result)];
  });
}

t.test('targets are read as the table in the docs says', async (t) => {
  const rows = table('target | matched and forwarded as');
  t.ok(rows.length > 30);
  for (const [target, result] of rows) {
    const read = readRequestTarget(target, 'GET');
    if (result.startsWith('400: ')) t.same(read, { fault: result.slice(5) }, target);
    else t.match(read, { path: result.replaceAll('`', '') }, target);
  }
});

t.test('hosts are read as the table in the docs says', async (t) => {
  const rows = table('Host or `:authority` | host, and what the upstream receives as Host');
  t.ok(rows.length > 15);
  for (const [given, result] of rows) {
    const read = readAuthority(given);
    if (result === '400') t.match(read, { fault: /\w+ \w+/ }, given);
    else
      t.same(
        [read].map((one) => 'host' in one && `\`${one.host}\`, \`${one.authority}\``),
        [result],
        given,
      );
  }
});

t.test(
  'a target in absolute form names its host, and OPTIONS without a path asks about the server',
  async (t) => {
    t.match(readRequestTarget('https://Shop.example.com:443/x', 'GET'), {
      authority: { host: 'shop.example.com', authority: 'shop.example.com:443' },
      path: '/x',
    });
    t.match(readRequestTarget('*', 'OPTIONS'), { authority: null, path: '*' });
    t.match(readRequestTarget('https://shop.example.com', 'OPTIONS'), { path: '*' });
    t.match(readRequestTarget('https://shop.example.com/', 'OPTIONS'), { path: '/' });
  },
);

t.test('paths of routes are kept in the same form', async (t) => {
  for (const [given, kept] of [
    ['/über', '/%C3%BCber'],
    ['/k%c3%b8d', '/k%C3%B8d'],
    ['/%61dmin/', '/admin'],
    ['/a/../b//c/', '/b/c'],
    ['/a/..', '/'],
    ['//', '/'],
    ['/日本/x', '/%E6%97%A5%E6%9C%AC/x'],
  ] as const) {
    t.equal(PathPrefix.parse(given), kept, given);
    t.match(readRequestTarget(kept, 'GET'), { path: kept }, 'a request for it is read so as well');
  }
  for (const refused of ['/a\\b', '/100%', '/a/..%2fb', '/a\ud800', '/a b', 'a', '/a?b', '/a#b', '/a%00']) {
    t.match(PathPrefix.safeParse(refused), { success: false }, refused);
  }
});

t.test('a normal path stays as it is, and what looks normal is', async (t) => {
  const parts = ['a', '.', '..', '%2e', '%2F', ';x', '/', '//', '%61', 'x', '.b', '..c', '~', '%41b', '%'];
  let seed = 1;
  const pick = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return parts[seed % parts.length]!;
  };
  for (let i = 0; i < 20_000; i += 1) {
    const path = `/${Array.from({ length: 1 + (i % 6) }, pick).join('')}`;
    const normal = normalisePath(path);
    if (plainPath(path) && normal !== path) t.fail(`${path} looks normal, and is not`);
    if (typeof normal !== 'string') continue;
    if (normalisePath(normal) !== normal) t.fail(`${path} is normalised to ${normal}, which is not normal`);
    if (/\/\/|\/\.\.?(\/|$)/.test(normal)) t.fail(`${path} is normalised to ${normal}`);
  }
});
