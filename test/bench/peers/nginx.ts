import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Process, startProcess } from '../start-process.ts';
import type { Peer } from './peer.ts';

export const nginx: Peer = {
  name: 'nginx',
  start: ({ folder, port, hosts, upstreamPort, pemFile, workers }) =>
    startNginx(
      folder,
      'nginx',
      `upstream backend { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
      server {
        listen 127.0.0.1:${port} ssl http2 backlog=2048;
        server_name ${hosts.join('\n')};
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
      workers,
    ),
};

export interface NginxUpstreamOptions {
  folder: string;
  port: number;
  body: string;
  large: string;
}

/** Answers `body` to everything save `/large`, in plain HTTP. */
export function nginxUpstream({ folder, port, body, large }: NginxUpstreamOptions): Promise<Process> {
  mkdirSync(join(folder, 'content'));
  // More than a line of its configuration may hold.
  writeFileSync(join(folder, 'content', 'large'), large);
  return startNginx(
    folder,
    'upstream',
    `server {
      listen 127.0.0.1:${port} backlog=2048;
      location / { default_type text/plain; return 200 "${body}"; }
      location = /large { default_type text/plain; root ${join(folder, 'content')}; open_file_cache max=8; }
    }`,
  );
}

function startNginx(folder: string, name: string, servers: string, workers = 1): Promise<Process> {
  const file = (suffix: string) => join(folder, `${name}${suffix}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${file(`.${kind}`)};`)
    .join('\n');
  writeFileSync(
    file('.conf'),
    `worker_processes ${workers};
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    daemon off;
    pid ${file('.pid')};
    error_log ${file('.log')} warn;
    events { worker_connections 4096; }
    http {
      access_log off;
      keepalive_requests 1000000000;
      keepalive_timeout 120s;
      client_max_body_size 0;
      client_body_buffer_size 128k;
      server_names_hash_max_size 1048576;
      server_names_hash_bucket_size 128;
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
