import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Child, startChild } from './child.ts';
import { cacheFolder } from './debian-package.ts';
import { withFileLock } from './file-lock.ts';
import { freePort } from './free-port.ts';

const run = promisify(execFile);
const version = '5.14.2';

export interface Prism {
  readonly url: string;
  /** What it wrote so far, by line. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

export interface PrismOptions {
  /** The file of the OpenAPI document. */
  document: string;
  /** What it stands before: a URL. */
  upstream: string;
  /** Left out: requests are held against the document as well as answers. */
  validateRequests?: boolean;
}

/** Stoplight's Prism, fetched by npm once: half the size of all that Lockstep depends on. Resolves to its program. */
async function fetchPrism(): Promise<string> {
  const folder = `${cacheFolder('prism')}-${version}`;
  const program = join(folder, 'node_modules/@stoplight/prism-cli/dist/index.js');
  const isThere = () =>
    stat(program).then(
      () => true,
      () => false,
    );
  if (await isThere()) return program;
  await mkdir(dirname(folder), { recursive: true });
  await withFileLock(`${folder}.lock`, async () => {
    if (await isThere()) return;
    const work = await mkdtemp(`${folder}-`);
    try {
      await writeFile(join(work, 'package.json'), '{ "private": true }');
      const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
      await run('npm', ['install', ...flags, `@stoplight/prism-cli@${version}`], { cwd: work });
      await rename(work, folder);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return program;
}

/** A proxy that refuses each request, and puts an error in place of each answer, that is not as the document says. Resolves when it listens. */
export async function startPrism({
  document,
  upstream,
  validateRequests = true,
}: PrismOptions): Promise<Prism> {
  const program = await fetchPrism();
  const port = await freePort();
  const flags = ['--errors', '--host', '127.0.0.1', '--port', String(port)];
  if (!validateRequests) flags.push('--validate-request=false');
  const child: Child = startChild({
    command: process.execPath,
    args: [program, 'proxy', ...flags, document, upstream],
    // What the test's own Node is told is nothing to it.
    env: { NODE_OPTIONS: '', SCARF_ANALYTICS: 'false' },
  });
  const close = () => child.signal('SIGKILL');
  await child.seen(/Prism is listening/).catch(async (error) => {
    await close();
    throw error;
  });
  return { url: `http://127.0.0.1:${port}`, log: child.log, close };
}

/** Whether Prism made the answer itself: something is not as the document says. */
export function isOfPrism(body: string): boolean {
  return body.includes('https://stoplight.io/prism/errors#');
}
