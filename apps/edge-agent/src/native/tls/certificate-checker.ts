import { setImmediate } from 'node:timers/promises';
import type { CertificateTable } from './certificate-table.ts';

/** So much of it a snapshot waits for: the newest, which somebody may be waiting for. */
const firstMs = 100;
/** Between two turns of the requests. */
const turnMs = 3;
/** The rest has a tenth of the time. */
const sliceMs = 5;
const pauseMs = 45;

/**
 * Builds what a snapshot brought once and drops it again, so that what cannot be used is refused by name before a handshake needs it:
 * nobody is to be told that a host is live whose certificate is of no use.
 */
export interface CertificateChecker {
  /** Looks at the newest; resolves then, and goes on with the others little by little. */
  check(): Promise<void>;
  close(): void;
}

export interface CertificateCheckerOptions {
  certificates: Pick<CertificateTable, 'checkUnbuilt'>;
  /** Runs what a timer calls: whatever throws there ends no process. */
  guard(work: () => void): () => void;
}

export function createCertificateChecker({
  certificates,
  guard,
}: CertificateCheckerOptions): CertificateChecker {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const slice = guard(() => {
    if (certificates.checkUnbuilt(sliceMs)) goOn();
  });

  function goOn(): void {
    clearTimeout(timer);
    if (!closed) timer = setTimeout(slice, pauseMs);
  }

  return {
    async check() {
      for (let spentMs = 0; spentMs < firstMs; spentMs += turnMs) {
        if (!certificates.checkUnbuilt(turnMs)) return;
        await setImmediate();
      }
      goOn();
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
