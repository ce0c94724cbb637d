import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Process, startProcess } from '../start-process.ts';
import type { Peer } from './peer.ts';

export const nginx: Peer = {
  name: 'nginx',
  start: ({ folder, port, host, upstreamPort, pemFile }) =>
    startNginx(
      folder,
      'nginx',
      `upstream backend { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
      server {
        listen 127.0.0.1:${port} ssl http2 backlog=2048;
        server_name ${host};
        ssl_certificate ${pemFile};
        ssl_certificate_key ${pemFile};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:10m;
        location / {
          proxy_pass http://backend;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $host;
          proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          proxy_set_header X-Forwarded-Proto $scheme;
          proxy_set_header X-Forwarded-Host $host;
        }
      }`,
    ),
};

/** Answers `body` to everything, in plain HTTP. */
export function nginxUpstream({
  folder,
  port,
  body,
}: {
  folder: string;
  port: number;
  body: string;
}): Promise<Process> {
  return startNginx(
    folder,
    'upstream',
    `server {
      listen 127.0.0.1:${port} backlog=2048;
      location / { default_type text/plain; return 200 "${body}"; }
    }`,
  );
}

function startNginx(folder: string, name: string, servers: string): Promise<Process> {
  const file = (suffix: string) => join(folder, `${name}${suffix}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${file(`.${kind}`)};`)
    .join('\n');
  writeFileSync(
    file('.conf'),
    `worker_processes 1;
    daemon off;
    pid ${file('.pid')};
    error_log ${file('.log')} warn;
    events { worker_connections 4096; }
    http {
      access_log off;
      keepalive_requests 1000000000;
      keepalive_timeout 120s;
      ${temporary}
      ${servers}
    }
    `,
    { mode: 0o600 },
  );
  return startProcess({
    command: 'nginx',
    args: ['-p', folder, '-e', file('.log'), '-c', file('.conf')],
    logFile: file('.log'),
  });
}
