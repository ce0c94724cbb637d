import { type Pebble, waitFor } from '@lockstep/testkit';
import {
  type AcmeClient,
  type AcmeOrder,
  createAcmeClient,
  createCsr,
  generateKeyPem,
} from '../../src/index.ts';

export const userAgent = 'lockstep/test';

export async function createClient(pebble: Pebble, options = {}): Promise<AcmeClient> {
  return createAcmeClient({
    directory: pebble.directory,
    accountKeyPem: await generateKeyPem(),
    rootsPem: pebble.rootPem,
    userAgent,
    ...options,
  });
}

/** Brings an order to its end, whichever it is. */
export async function validate(client: AcmeClient, order: AcmeOrder, type = 'http-01'): Promise<AcmeOrder> {
  for (const url of order.authorizations) {
    const { status, challenges } = await client.getAuthorization(url);
    if (status === 'valid') continue; // Pebble reuses some
    const challenge = challenges.find((challenge) => challenge.type === type);
    if (challenge === undefined) throw new Error(`no ${type} challenge`);
    await client.completeChallenge(challenge.url);
  }
  return waitFor(
    async () => {
      const current = await client.getOrder(order.url);
      return current.status === 'pending' ? null : current;
    },
    { what: 'the order to leave pending' },
  );
}

/** Sends a CSR for an order that is ready. Gives where the certificate is. */
export async function finalise(
  client: AcmeClient,
  order: AcmeOrder,
  options: { host: string; keyPem: string },
): Promise<string> {
  await client.finalize(order.finalizeUrl, await createCsr(options));
  const { certificateUrl } = await waitFor(
    async () => {
      const current = await client.getOrder(order.url);
      return current.status === 'valid' && current;
    },
    { what: 'the certificate' },
  );
  return certificateUrl ?? '';
}

/** The text that answers a challenge of an order's one authorization. */
export async function answerTo(client: AcmeClient, order: AcmeOrder, type: string) {
  const { challenges } = await client.getAuthorization(order.authorizations[0] ?? '');
  const token = challenges.find((challenge) => challenge.type === type)?.token ?? '';
  return { token, keyAuthorization: await client.keyAuthorization(token) };
}
