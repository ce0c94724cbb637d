import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './run-command.ts';

export interface WrkFigures {
  requests: number;
  requestsPerSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  /** Connections or handshakes that failed, broke off or timed out, and answers of 400 and above. */
  errors: number;
}

export interface WrkOptions {
  folder: string;
  port: number;
  host: string;
  connections: number;
  seconds: number;
  /** Default: `/`. */
  path?: string;
  /** A POST with a body of so many bytes; default: a GET. */
  bodyBytes?: number;
}

// wrk takes the server name from the address: the script connects to loopback whatever the name is.
const script = `
function wrk.resolve(host, service)
  wrk.addrs = wrk.lookup("127.0.0.1", service)
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** One run of wrk with one thread: HTTP/1.1 over TLS, connections kept alive. */
export async function runWrk(options: WrkOptions): Promise<WrkFigures> {
  const { folder, port, host, connections, seconds, path = '/', bodyBytes } = options;
  const file = join(folder, bodyBytes === undefined ? 'wrk.lua' : 'wrk-post.lua');
  const post =
    bodyBytes === undefined ? '' : `wrk.method = "POST"\nwrk.body = string.rep("x", ${bodyBytes})\n`;
  writeFileSync(file, `${post}${script}`);
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '5s', '-s', file];
  const output = await runCommand('wrk', [...args, `https://${host}:${port}${path}`]);
  const line = output.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`wrk said nothing of use: ${output}`);
  const { requests, us, p50, p99, errors } = JSON.parse(line);
  return { requests, requestsPerSecond: requests / (us / 1e6), p50: p50 / 1e3, p99: p99 / 1e3, errors };
}
