import { readFileSync } from 'node:fs';
import { type Client, createClient } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { readApiEnvironment } from '../config.ts';
import { createOutput, type Output } from '../output/output.ts';
import { configFolder } from './config-folder.ts';
import { type Context, readContexts } from './contexts.ts';

/** What a command that asks the API works with. */
export interface Session {
  client: Client;
  output: Output;
  /** Of the API, without a slash at the end. */
  api: string;
  token: string;
  /** Where the token is from. */
  tokenFrom: string;
}

export interface SessionFlags {
  api?: string;
  context?: string;
  json?: boolean;
  /** How often a call is made again that gets no answer, or one that passes. */
  retries?: number;
}

/**
 * Finds the API and the token: flags, then the environment, then the context that is named or current. Throws `bad_configuration` where
 * there is no token.
 */
export function openSession({ api, context, json = false, retries }: SessionFlags): Session {
  const environment = readApiEnvironment();
  const found = findContext(context ?? environment.context);
  const url = (api ?? environment.api ?? found?.api ?? 'http://127.0.0.1:7400').replace(/\/+$/, '');
  const token = environment.token ?? tokenOf(found, url);
  const tokenFrom = environment.token === null ? 'the context' : environment.tokenFrom;
  return {
    client: createClient({ url, token, retries }),
    output: createOutput({ json }),
    api: url,
    token,
    tokenFrom,
  };
}

function findContext(name: string | null): Context | null {
  const { current, contexts } = readContexts(configFolder());
  const wanted = name ?? current;
  const found = wanted === null ? undefined : contexts[wanted];
  if (found === undefined && name !== null)
    throw new AppError(
      'bad_configuration',
      `there is no context "${name}"; \`lockstep context ls\` lists them`,
    );
  return found ?? null;
}

function tokenOf(context: Context | null, url: string): string {
  const help = 'set LOCKSTEP_TOKEN, or keep it with `lockstep context set`';
  // A context's token is for the API of the context alone.
  if (context === null || context.api !== url)
    throw new AppError('bad_configuration', `there is no token for ${url}; ${help}`);
  if (context.token !== undefined) return context.token;
  if (context.tokenFile === undefined)
    throw new AppError('bad_configuration', `the context has no token; ${help}`);
  try {
    return readFileSync(context.tokenFile, 'utf8').trim();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError(
      'bad_configuration',
      `the token cannot be read: ${context.tokenFile} (${code}); ${help}`,
      {
        cause,
      },
    );
  }
}
