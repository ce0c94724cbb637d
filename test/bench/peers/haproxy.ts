import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../start-process.ts';
import type { Peer } from './peer.ts';

export const haproxy: Peer = {
  name: 'HAProxy',
  start({ folder, port, upstreamPort, pemFile }) {
    const configuration = join(folder, 'haproxy.cfg');
    writeFileSync(
      configuration,
      `global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  option http-keep-alive
  http-reuse always
frontend https
  bind 127.0.0.1:${port} ssl crt ${pemFile} alpn h2,http/1.1 backlog 2048
  default_backend upstream
backend upstream
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  server one 127.0.0.1:${upstreamPort}
`,
    );
    return startProcess({
      command: 'haproxy',
      args: ['-db', '-f', configuration],
      logFile: join(folder, 'haproxy.log'),
    });
  },
};
