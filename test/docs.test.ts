import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFile(join(root, path), 'utf8');

const pages = [
  ...(await readdir(root)).filter((name) => name.endsWith('.md')),
  ...(await readdir(join(root, 'docs'), { recursive: true }))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.split(sep).join('/')}`),
];

for (const page of pages) {
  t.test(`the links of ${page} lead somewhere`, async (t) => {
    for (const [, link = ''] of withoutCode(await read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : relative(root, join(root, dirname(page), path));
      const found = await stat(join(root, target)).catch(() => null);
      t.ok(found, `${link}: there is ${target}`);
      if (found === null || anchor === undefined) continue;
      t.ok(anchorsOf(await read(target)).has(anchor), `${link}: ${target} has this heading`);
    }
  });
}

t.test('docs/architecture.md names files and rooms that are there, and every room', async (t) => {
  const text = await read('docs/architecture.md');
  const source = 'apps/control-plane/src';
  const named = [...text.matchAll(/`([a-z0-9-]+(?:\/[a-z0-9.-]+)*)`/g)].map(([, path = '']) => path);
  let folder = '';
  for (const path of named.filter((path) => path.endsWith('.ts'))) {
    const full = /^(?:apps|packages|test)\//.test(path)
      ? path
      : join(source, path.includes('/') ? path : join(folder, path));
    folder = relative(source, dirname(full));
    t.ok(await stat(join(root, full)).catch(() => null), `${path}: there is ${full}`);
  }
  for (const house of [
    source,
    'packages/contract/src',
    'packages/pki/src',
    'apps/edge-agent/src',
    'apps/edge-agent/src/native',
  ]) {
    const entries = await readdir(join(root, house), { withFileTypes: true });
    for (const room of entries.filter((entry) => entry.isDirectory()))
      t.ok(text.includes(`| \`${room.name}\` |`), `it says what is in ${house}/${room.name}`);
  }
});

t.test('the pages and the code name the same LOCKSTEP_ variables', async (t) => {
  const documented = new Set<string>();
  for (const page of pages) for (const name of variablesOf(await read(page))) documented.add(name);
  const known = new Set<string>();
  for (const path of await sources()) for (const name of variablesOf(await read(path))) known.add(name);
  t.strictSame(
    [...documented].filter((name) => !known.has(name)).sort(),
    [],
    'none that the code does not know',
  );

  const install = variablesOf(await read('docs/install-an-edge.md'));
  const settings = (await sources()).filter(
    (path) => path.startsWith('apps/cli/src/') || path.endsWith('/config.ts'),
  );
  const missing = new Set<string>();
  for (const path of settings)
    for (const name of variablesOf(await read(path))) if (!install.has(name)) missing.add(name);
  t.strictSame([...missing].sort(), [], 'docs/install-an-edge.md leaves none out');
});

function variablesOf(text: string): Set<string> {
  return new Set(text.match(/LOCKSTEP_[A-Z_]*[A-Z]\b(?!_)/g));
}

/** Links in examples are no links. */
function withoutCode(markdown: string): string {
  return markdown.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '');
}

/** The anchors that GitHub gives to headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replace(/^```.*?^```$/gms, '').matchAll(/^#+ +(.+)$/gm);
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

async function sources(): Promise<string[]> {
  const found: string[] = [];
  for (const parent of ['apps', 'packages']) {
    for (const name of await readdir(join(root, parent))) {
      for (const folder of ['src', 'bin']) {
        const files = await readdir(join(root, parent, name, folder), { recursive: true }).catch(() => []);
        for (const file of files) {
          if (/\.[jt]s$/.test(file)) found.push(`${parent}/${name}/${folder}/${file.split(sep).join('/')}`);
        }
      }
    }
  }
  return found;
}
