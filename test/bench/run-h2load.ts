import type { Tool } from './find-tool.ts';
import { runCommand } from './run-command.ts';

export interface H2loadOptions {
  tool: Tool;
  port: number;
  host: string;
  path: string;
  connections: number;
  /** At once on each connection. */
  streams: number;
  seconds: number;
}

/** One run of h2load with one thread: HTTP/2 over TLS, connections kept alive. */
export async function runH2load(options: H2loadOptions): Promise<{ requests: number; errors: number }> {
  const { tool, port, host, path, connections, streams, seconds } = options;
  const output = await runCommand(
    tool.command,
    [
      ...['-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`],
      `--connect-to=127.0.0.1:${port}`,
      `https://${host}:${port}${path}`,
    ],
    tool.env,
  );
  const counted = (label: string) => Number(new RegExp(`(\\d+) ${label}`).exec(output)?.[1] ?? Number.NaN);
  const [requests, succeeded] = [counted('done'), counted('2xx')];
  if (!(requests > 0)) throw new Error(`h2load said nothing of use: ${output}`);
  // What was under way at the end has its status, and is not done.
  const others = Math.max(0, requests - succeeded);
  return { requests, errors: counted('failed') + counted('errored') + others };
}
