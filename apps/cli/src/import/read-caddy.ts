import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { AppError } from '@lockstep/contract';

const mostBytes = 256 * 1_048_576;

/** The configuration of a Caddy, from its admin API, JSON, or a Caddyfile that `caddy` adapts. Throws `bad_configuration`. */
export async function readCaddy(source: string, caddy: string): Promise<unknown> {
  if (/^https?:\/\//.test(source)) return ask(source);
  let text: string;
  try {
    text = readFileSync(source, 'utf8');
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const hint = /^[\w.[\]:-]+:\d+(\/|$)/.test(source)
      ? `; an admin API begins with http://, as in http://${source}`
      : '';
    throw new AppError('bad_configuration', `"${source}" cannot be read (${code})${hint}`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (source.endsWith('.json'))
      throw new AppError('bad_configuration', `"${source}" is no JSON: ${(cause as Error).message}`, {
        cause,
      });
    return adapt(source, caddy);
  }
}

async function ask(source: string): Promise<unknown> {
  const url = new URL(source);
  if (url.pathname === '/') url.pathname = '/config/';
  try {
    // fetch calls itself a browser, of which Caddy wants an origin that it knows: its own.
    const response = await fetch(url, { headers: { origin: url.origin } });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    const config = await response.json();
    if (config === null) throw new Error('it runs without a configuration');
    return config;
  } catch (cause) {
    // fetch says of each failure that it failed; its cause says how.
    const { message, cause: why } = cause as Error;
    const detail = why instanceof Error ? why.message : message;
    throw new AppError('bad_configuration', `no configuration can be had from ${url.href}: ${detail}`, {
      cause,
    });
  }
}

async function adapt(file: string, caddy: string): Promise<unknown> {
  try {
    const args = ['adapt', '--config', file, '--adapter', 'caddyfile'];
    const { stdout } = await promisify(execFile)(caddy, args, { maxBuffer: mostBytes });
    return JSON.parse(stdout);
  } catch (cause) {
    const { code, stderr, message } = cause as NodeJS.ErrnoException & { stderr?: string };
    const detail =
      code === 'ENOENT'
        ? `"${file}" is taken for a Caddyfile, and there is no command "${caddy}" to adapt it; name one with --caddy, or give the JSON that \`caddy adapt\` prints`
        : `"${caddy} adapt" refuses "${file}": ${stderr?.trim().split('\n').at(-1) || message}`;
    throw new AppError('bad_configuration', detail, { cause });
  }
}
