import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

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
export async function runWrk({ folder, port, host, connections, seconds }: WrkOptions): Promise<WrkFigures> {
  const file = join(folder, 'wrk.lua');
  writeFileSync(file, script);
  const args = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout',
    '5s',
    '-s',
    file,
    `https://${host}:${port}/`,
  ];
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [code] = await once(child, 'close');
  const line = output.split('\n').find((text) => text.startsWith('{'));
  if (code !== 0 || line === undefined) throw new Error(`wrk failed (${code}): ${output}`);
  const { requests, us, p50, p99, errors } = JSON.parse(line);
  return { requests, requestsPerSecond: requests / (us / 1e6), p50: p50 / 1e3, p99: p99 / 1e3, errors };
}
