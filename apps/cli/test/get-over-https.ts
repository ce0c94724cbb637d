import { readFileSync } from 'node:fs';
import { request } from 'node:https';

/** The body that a port on loopback serves for a host, its certificate verified against the root in a file. */
export function getOverHttps(port: number, host: string, rootFile: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      servername: host,
      headers: { host },
      ca: readFileSync(rootFile),
      agent: false,
    };
    const outgoing = request(options, async (incoming) => {
      resolve(`${incoming.statusCode} ${(await incoming.setEncoding('utf8').toArray()).join('')}`);
    });
    outgoing.on('error', reject).end();
  });
}
