import { readFile } from 'node:fs/promises';
import { AppError } from '@lockstep/contract';
import type { Logger } from 'pino';

const { createSecureContext } = process.getBuiltinModule('node:tls');

/** Which files the listener's TLS is in, all PEM. */
export interface TlsFiles {
  cert: string;
  key: string;
  /** Whoever connects has to show a certificate of these CAs; null: nobody. */
  clientCa: string | null;
}

/** What a TLS server needs, from RFC 8446 down to 1.2. */
export interface TlsMaterial {
  cert: string;
  key: string;
  ca?: string;
}

/** The listener's certificate and key, as they are in the files now. */
export interface TlsSource {
  readonly clientCertificates: boolean;
  current(): TlsMaterial;
  /** Calls `listener` with what comes to be in force. */
  watch(listener: (material: TlsMaterial) => void): void;
  close(): void;
}

const lookAgainMs = 5_000;

/**
 * Reads the files, and looks every few seconds whether something else is in them: what fits together comes in force, anything else is logged, and
 * what was before stays, as long as a certificate and its key are replaced one after the other. Throws `bad_configuration` at the start.
 */
export async function openTlsFiles(
  files: TlsFiles,
  log: Logger,
  { intervalMs = lookAgainMs }: { intervalMs?: number } = {},
): Promise<TlsSource> {
  const listeners: ((material: TlsMaterial) => void)[] = [];
  let current = await read(files);
  let told = '';

  async function look(): Promise<void> {
    try {
      const next = await read(files);
      told = '';
      if (next.cert === current.cert && next.key === current.key && next.ca === current.ca) return;
      current = next;
      for (const listener of listeners) listener(next);
      log.info({ file: files.cert }, 'the listener has another certificate');
    } catch (error) {
      const { message } = error as Error;
      if (message !== told)
        log.error({ err: error }, 'the certificate of the listener cannot be replaced; the one before stays');
      told = message;
    }
  }

  let looking = false;
  const timer = setInterval(async () => {
    if (looking) return;
    looking = true;
    await look();
    looking = false;
  }, intervalMs).unref();

  return {
    clientCertificates: files.clientCa !== null,
    current: () => current,
    watch: (listener) => void listeners.push(listener),
    close: () => clearInterval(timer),
  };
}

async function read({ cert, key, clientCa }: TlsFiles): Promise<TlsMaterial> {
  const material = {
    cert: await contentsOf(cert, '--tls-cert'),
    key: await contentsOf(key, '--tls-key'),
    ...(clientCa === null ? {} : { ca: await contentsOf(clientCa, '--tls-client-ca') }),
  };
  try {
    createSecureContext(material);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const detail =
      code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
        ? `the key in "${key}" is not that of the certificate in "${cert}"`
        : `"${cert}" and "${key}" are no certificate and key that can be served (${message})`;
    throw new AppError('bad_configuration', detail, { cause });
  }
  return material;
}

async function contentsOf(file: string, flag: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new AppError('bad_configuration', `the file of ${flag}, "${file}", cannot be read`, { cause });
  }
}
