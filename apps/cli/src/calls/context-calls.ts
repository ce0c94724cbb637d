import { resolve } from 'node:path';
import { AppError } from '@lockstep/contract';
import { readApiEnvironment } from '../config.ts';
import { createOutput } from '../output/output.ts';
import { configFolder } from '../session/config-folder.ts';
import { readContexts, writeContexts } from '../session/contexts.ts';
import { keepContext } from '../session/keep-context.ts';

export interface SetContextFlags {
  api: string;
  tokenFile?: string;
}

export async function listContexts({ json = false }: { json?: boolean }): Promise<void> {
  const { current, contexts } = readContexts(configFolder());
  const items = Object.entries(contexts).map(([name, { api, tokenFile }]) => ({
    name,
    current: name === current,
    api,
    tokenFile: tokenFile ?? null,
  }));
  createOutput({ json }).list(items, {
    '': (one) => (one.current ? '*' : ''),
    name: ({ name }) => name,
    api: ({ api }) => api,
    token: ({ tokenFile }) => tokenFile ?? '(kept)',
  });
}

export async function useContext(name: string): Promise<void> {
  const { contexts } = known(name);
  writeContexts(configFolder(), { current: name, contexts });
}

export async function setContext(name: string, { api, tokenFile }: SetContextFlags): Promise<void> {
  const { token } = readApiEnvironment();
  if (tokenFile === undefined && token === null)
    throw new AppError(
      'bad_configuration',
      'there is no token: set LOCKSTEP_TOKEN, or name its file with --token-file',
    );
  keepContext(name, {
    api: api.replace(/\/+$/, ''),
    ...(tokenFile === undefined ? { token: token as string } : { tokenFile: resolve(tokenFile) }),
  });
}

export async function removeContext(name: string): Promise<void> {
  const { current, contexts } = known(name);
  const { [name]: _gone, ...left } = contexts;
  writeContexts(configFolder(), { current: current === name ? null : current, contexts: left });
}

function known(name: string) {
  const found = readContexts(configFolder());
  if (!Object.hasOwn(found.contexts, name))
    throw new AppError('not_found', `there is no context "${name}"; \`lockstep context ls\` lists them`);
  return found;
}
