import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { AppError } from '@lockstep/contract';
import { addFound, type Finds, filesBelow, isFile, isFolder, pemFiles } from './found-certificate.ts';

/** The certificates of whatever this is: certbot's folder, Caddy's, Traefik's acme.json, or PEM files. Throws `bad_configuration`. */
export function findCertificates(source: string): Finds {
  try {
    if (isFile(source)) return source.endsWith('.json') ? traefik(source) : pemFiles([source]);
    if (!isFolder(source)) throw new Error('there is no such file or folder');
    if (isFolder(join(source, 'live'))) return certbot(source);
    if (basename(source) === 'live' && isFolder(join(dirname(source), 'renewal')))
      return certbot(dirname(source));
    if (isFolder(join(source, 'certificates'))) return caddyStorage(source);
    return pemFiles(filesBelow(source));
  } catch (cause) {
    const { message } = cause as Error;
    throw new AppError('bad_configuration', `"${source}" cannot be read: ${message}`, { cause });
  }
}

/** `certificates/<CA>/<name>/<name>.crt`, `.key` and `.json`, as certmagic keeps them. */
export function caddyStorage(folder: string): Finds {
  const finds: Finds = { certificates: [], faults: [] };
  const root = join(folder, 'certificates');
  for (const storage of foldersIn(root)) {
    for (const name of foldersIn(join(root, storage))) {
      const path = join(root, storage, name, name);
      if (!isFile(`${path}.crt`) || !isFile(`${path}.key`)) continue;
      const [chain, key] = [readFileSync(`${path}.crt`, 'utf8'), readFileSync(`${path}.key`, 'utf8')];
      addFound(finds, { chain, key, storage, from: `${path}.crt` });
    }
  }
  return finds;
}

function certbot(folder: string): Finds {
  const finds: Finds = { certificates: [], faults: [] };
  for (const name of foldersIn(join(folder, 'live'))) {
    const from = join(folder, 'live', name, 'fullchain.pem');
    const keyFile = join(folder, 'live', name, 'privkey.pem');
    if (!isFile(from) || !isFile(keyFile)) continue;
    const renewal = join(folder, 'renewal', `${name}.conf`);
    const server = isFile(renewal)
      ? /^\s*server\s*=\s*(\S+)/m.exec(readFileSync(renewal, 'utf8'))?.[1]
      : undefined;
    addFound(finds, {
      chain: readFileSync(from, 'utf8'),
      key: readFileSync(keyFile, 'utf8'),
      directory: server ?? null,
      from,
    });
  }
  return finds;
}

interface TraefikResolver {
  Account?: { Registration?: { uri?: string } };
  Certificates?: { domain?: { main?: string }; certificate?: string; key?: string }[] | null;
}

function traefik(file: string): Finds {
  const finds: Finds = { certificates: [], faults: [] };
  const given = JSON.parse(readFileSync(file, 'utf8')) as Record<string, TraefikResolver> & TraefikResolver;
  // Of version 1 there is one, without a name.
  const resolvers: [string, TraefikResolver][] = Array.isArray(given.Certificates)
    ? [['', given]]
    : Object.entries(given);
  for (const [name, resolver] of resolvers) {
    for (const { domain, certificate = '', key = '' } of resolver.Certificates ?? []) {
      addFound(finds, {
        chain: Buffer.from(certificate, 'base64').toString(),
        key: Buffer.from(key, 'base64').toString(),
        directory: resolver.Account?.Registration?.uri ?? null,
        from: [file, name, domain?.main].filter(Boolean).join(' '),
      });
    }
  }
  return finds;
}

function foldersIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => isFolder(join(folder, name)))
    .sort();
}
