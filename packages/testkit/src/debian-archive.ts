import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Source {
  uri: string;
  suites: string[];
  components: string[];
  signedBy: string | null;
}

/**
 * The source (deb822) of the archive this system installs from, for its own suite or another of the same mirror. Only
 * the package index is asked for.
 */
export async function debianArchive(suite?: string): Promise<string> {
  const codename = /^VERSION_CODENAME="?([^"\n]+)/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  const sources = await systemSources();
  const own = sources.find(
    ({ suites, components }) => suites.includes(codename ?? 'stable') && components.includes('main'),
  );
  if (own === undefined) throw new Error(`apt's sources name no archive for the suite ${codename}`);
  return [
    'Types: deb',
    `URIs: ${own.uri}`,
    `Suites: ${suite ?? codename}`,
    `Components: ${suite === undefined ? own.components.join(' ') : 'main'}`,
    ...(own.signedBy === null ? [] : [`Signed-By: ${own.signedBy}`]),
    'Targets: Packages',
    '',
  ].join('\n');
}

async function systemSources(): Promise<Source[]> {
  const parts = '/etc/apt/sources.list.d';
  const names = await readdir(parts).catch(() => []);
  const files = ['/etc/apt/sources.list', ...names.map((name) => join(parts, name))];
  const sources: Source[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.list')) sources.push(...parseList(text));
    else if (file.endsWith('.sources')) sources.push(...parseDeb822(text));
  }
  return sources;
}

/** `deb [signed-by=FILE arch=amd64] URI SUITE COMPONENT…` (sources.list(5)). */
export function parseList(text: string): Source[] {
  return [...text.matchAll(/^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#\n]+)/gm)].map(
    ([, options, uri, suite, components]) => ({
      uri: uri!,
      suites: [suite!],
      components: components!.trim().split(/\s+/),
      signedBy: /signed-by=(\S+)/i.exec(options ?? '')?.[1] ?? null,
    }),
  );
}

export function parseDeb822(text: string): Source[] {
  const sources: Source[] = [];
  for (const stanza of text.replaceAll(/^#.*\n?/gm, '').split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:((?:.*)(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1];
    const words = (name: string) => field(name)?.trim().split(/\s+/) ?? [];
    const uri = words('URIs')[0];
    if (uri === undefined || !words('Types').includes('deb') || /^no$/i.test(words('Enabled')[0] ?? ''))
      continue;
    sources.push({
      uri,
      suites: words('Suites'),
      components: words('Components'),
      // A key may stand in the file itself, over several lines.
      signedBy: field('Signed-By')?.replace(/^ /, '') ?? null,
    });
  }
  return sources;
}
