import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

// Below what systems give to outgoing connections and to listeners on port 0 (from 32,768 on with Linux): one of those would take a port
// between its being found and its being listened on.
const lowest = 10_000;
const highest = 32_767;
const tries = 1_000;

/** Each process walks up from a place of its own, so that two which run at once rarely meet, and never gives a port twice. */
let next = randomInt(lowest, highest + 1);

/** A TCP port on loopback that was free a moment ago. Another process may take it first: whoever binds it has to be ready for that. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < tries; tried += 1) {
    const port = next;
    next = next === highest ? lowest : next + 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`none of ${tries} ports is free`);
}

/** The first of `count` ports in a row that are free. */
export async function freePortsInARow(count: number): Promise<number> {
  for (let tried = 0; tried < tries; tried += 1) {
    const first = randomInt(lowest, highest - count);
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(first + index)));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`nowhere are ${count} ports in a row free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
