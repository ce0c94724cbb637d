import { request } from 'node:https';
import { text } from 'node:stream/consumers';

/** Pebble's management interface, which no real CA has. */
export interface PebbleManagement {
  /** PEM of the root that issued certificates lead to; the intermediate comes with each chain. `index` counts alternate ones. */
  issuingRoots(index?: number): Promise<string>;
  /** The answer to renewal information for a certificate (RFC 9773), given as PEM or by its serial number in hexadecimal. */
  setRenewalInfo(certificate: string, info: RenewalInfoAnswer): Promise<void>;
  /** Null for a serial number, in hexadecimal, that it never gave. */
  revocationStatus(serialNumber: string): Promise<RevocationStatus | null>;
}

export interface RenewalInfoAnswer {
  /** ISO 8601. */
  suggestedWindow: { start: string; end: string };
  explanationURL?: string;
}

export interface RevocationStatus {
  status: 'Valid' | 'Revoked';
  /** Of RFC 5280, section 5.3.1; null where none was given. */
  reason: number | null;
}

export function createManagement(url: string, ca: string): PebbleManagement {
  async function statusOf(serialNumber: string) {
    // It counts a leading zero as part of no serial number.
    const serial = serialNumber.toLowerCase().replace(/^0+(?=.)/, '');
    const { status, body } = await send(`${url}/cert-status-by-serial/${serial}`, { ca });
    return status === 200 ? JSON.parse(body) : null;
  }

  return {
    async issuingRoots(index = 0) {
      return (await send(`${url}/roots/${index}`, { ca })).body;
    },
    async setRenewalInfo(certificate, info) {
      const pem = certificate.includes('-----BEGIN')
        ? certificate
        : (await statusOf(certificate))?.Certificate;
      const body = JSON.stringify({ Certificate: pem, ARIResponse: JSON.stringify(info) });
      const answer = await send(`${url}/set-renewal-info/`, { ca, body });
      if (answer.status >= 300) throw new Error(`Pebble takes no renewal information: ${answer.body}`);
    },
    async revocationStatus(serialNumber) {
      const found = await statusOf(serialNumber);
      const status: RevocationStatus['status'] = found?.Status;
      return found && { status, reason: found.Reason ?? null };
    },
  };
}

/** GET, or POST with a body. */
export function send(
  url: string,
  { ca, body }: { ca: string; body?: string },
): Promise<{ status: number; body: string }> {
  const method = body === undefined ? 'GET' : 'POST';
  return new Promise((resolve, reject) => {
    const headers = { 'user-agent': 'lockstep-testkit' }; // it answers nobody without
    request(url, { ca, method, headers, agent: false }, async (response) => {
      resolve({ status: response.statusCode ?? 0, body: await text(response) });
    })
      .on('error', reject)
      .end(body);
  });
}
