import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from '@lockstep/testkit';
import { freePorts } from './free-ports.ts';
import { nginxUpstream } from './peers/nginx.ts';
import { findVersion } from './peers/peer.ts';
import { type Process, startProcess } from './start-process.ts';

export interface Upstream {
  url: string;
  port: number;
  body: string;
  /** What it is: "nginx", or "node". */
  kind: string;
  stop(): Promise<void>;
}

/** Of what it answers to `/large`. */
export const largeBytes = 65_536;

/** A server that costs little, in a process of its own: nginx where there is one, else Node. It takes a body at `/post`. */
export async function startUpstream(folder: string, bodyBytes: number): Promise<Upstream> {
  const port = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const body = textOf(bodyBytes);
  const kind = findVersion('nginx') === null ? 'node' : 'nginx';
  let started: Process;
  if (kind === 'nginx') started = await nginxUpstream({ folder, port, body, large: textOf(largeBytes) });
  else {
    const entry = fileURLToPath(new URL('./upstream.ts', import.meta.url));
    const logFile = join(folder, 'upstream.log');
    started = await startProcess({
      command: process.execPath,
      args: [entry, String(port), body, String(largeBytes)],
      logFile,
    });
  }
  await waitFor(
    async () => {
      started.check();
      return (await (await fetch(url)).text()) === body;
    },
    { what: 'the upstream to answer' },
  );
  return { url, port, body, kind, stop: started.stop };
}

function textOf(bytes: number): string {
  return 'lockstep'.repeat(Math.ceil(bytes / 8)).slice(0, bytes);
}
