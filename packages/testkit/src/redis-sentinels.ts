import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import { freePort } from './free-port.ts';
import { redisCommand } from './redis-server.ts';

export interface Sentinels {
  readonly ports: readonly number[];
  close(): Promise<void>;
}

/**
 * Three Sentinels over a primary that runs; two of them agree on a fail-over, three seconds after the primary fell silent: they ask once a second,
 * and connect anew after each fail-over, so that at one second they may take a primary that has just been made for gone.
 */
export async function startSentinels(name: string, primaryPort: number): Promise<Sentinels> {
  const { command, env } = await redisCommand();
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-sentinels-'));
  const ports: number[] = [];
  const children: Child[] = [];
  for (let index = 0; index < 3; index += 1) {
    const port = await freePort();
    const config = join(folder, `sentinel-${index}.conf`);
    await writeFile(
      config,
      [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${folder}`,
        `sentinel monitor ${name} 127.0.0.1 ${primaryPort} 2`,
        `sentinel down-after-milliseconds ${name} 3000`,
        `sentinel failover-timeout ${name} 3000`,
        '',
      ].join('\n'),
    );
    const child = startChild({ command, args: [config, '--sentinel'], env, cwd: folder });
    await child.seen(/\+monitor master/);
    ports.push(port);
    children.push(child);
  }
  return {
    ports,
    async close() {
      await Promise.all(children.map((child) => child.signal('SIGKILL')));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
