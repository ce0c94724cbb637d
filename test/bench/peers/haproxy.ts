import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../start-process.ts';
import type { Peer } from './peer.ts';

export const haproxy: Peer = {
  name: 'HAProxy',
  start({ folder, port, hosts, upstreamPort, pemFile, command, workers }) {
    const configuration = join(folder, 'haproxy.cfg');
    const map = join(folder, 'hosts.map');
    writeFileSync(map, hosts.map((host) => `${host} upstream\n`).join(''));
    writeFileSync(
      configuration,
      `global
  nbthread ${workers}
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
  use_backend %[req.hdr(host),field(1,:),lower,map(${map},none)]
backend none
backend upstream
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  server one 127.0.0.1:${upstreamPort}
`,
    );
    return startProcess({
      command,
      args: ['-db', '-f', configuration],
      logFile: join(folder, 'haproxy.log'),
    });
  },
};
