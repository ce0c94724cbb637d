import { type AcmeClient, AcmeProblem, createAcmeClient, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { orAbort } from '../../time/or-abort.ts';
import { IssuerFailure } from '../issuer.ts';
import { type AcmeAccount, forgetAccount, openAccount } from './acme-account.ts';
import { explainBinding, isType } from './explain-problem.ts';

export interface AcmeSessionOptions {
  store: ConfigStore;
  sealer: Sealer;
  /** The id of the account's record. */
  accountId: string;
  directory: string;
  email: string | null;
  rootsPem: string | null;
  /** External account binding (RFC 8555, section 7.3.4); fetched when the account is made. */
  eab: ((signal: AbortSignal) => Promise<{ kid: string; hmacKey: string }>) | null;
  userAgent: string;
  /** Told of each request to the CA: the status of its answer, or null without one, and its Date. */
  onAnswer?: ((status: number | null, date: string | null) => void) | undefined;
}

/** The way to one CA under the fleet's account there, opened at the first use. */
export interface AcmeSession {
  /** Runs `work` with the account's client; when the CA no longer knows the account, the next call makes another. */
  use<T>(signal: AbortSignal, work: (client: AcmeClient) => Promise<T>): Promise<T>;
  account(signal: AbortSignal): Promise<AcmeAccount>;
  close(): void;
}

/** How long a failure to open the account stands, unless the CA says for how long. */
const refusedForMs = 2_000;
const longestRefusedForMs = 3_600_000;

interface Opened {
  client: AcmeClient;
  account: AcmeAccount;
}

export function createAcmeSession(options: AcmeSessionOptions): AcmeSession {
  const { store, sealer, accountId, directory, email, rootsPem, eab, userAgent, onAnswer } = options;
  const clients = new Set<AcmeClient>();
  const stopped = new AbortController();
  let opening: Promise<Opened> | null = null;

  function connect(
    accountKeyPem: string,
    binding: { kid: string; hmacKey: string } | null,
    url: string | null,
  ) {
    const client = createAcmeClient({
      directory,
      accountKeyPem,
      accountUrl: url,
      rootsPem,
      eab: binding,
      userAgent,
      onAnswer,
    });
    clients.add(client);
    return client;
  }

  async function open(): Promise<Opened> {
    const { signal } = stopped;
    const account = await openAccount({
      store,
      sealer,
      id: accountId,
      directory,
      signal,
      async register(keyPem) {
        const binding = eab === null ? null : await eab(signal);
        const client = connect(keyPem, binding, null);
        try {
          return (await client.createAccount({ email }, signal)).accountUrl;
        } catch (error) {
          if (binding === null || !(error instanceof AcmeProblem)) throw error;
          throw explainBinding(error, binding.kid);
        } finally {
          clients.delete(client);
          client.close();
        }
      },
    });
    return { client: connect(account.keyPem, null, account.url), account };
  }

  function opened(): Promise<Opened> {
    if (opening === null) {
      const mine = open();
      opening = mine;
      // Whoever comes in the next moment hears the same, instead of asking a CA that refuses the account once for every host.
      mine.catch((error: unknown) => {
        const askedMs =
          error instanceof AcmeProblem || error instanceof IssuerFailure ? error.retryAfterMs : 0;
        const waitMs = Math.min(longestRefusedForMs, Math.max(refusedForMs, askedMs ?? 0));
        setTimeout(() => {
          if (opening === mine) opening = null;
        }, waitMs).unref();
      });
    }
    return opening;
  }

  return {
    // Opening is shared by all who wait for it: one who gives up leaves it to the others.
    async use(signal, work) {
      const { client, account } = await orAbort(opened(), signal);
      try {
        return await work(client);
      } catch (error) {
        if (isType(error, 'accountDoesNotExist')) {
          await forgetAccount(store, account);
          opening = null;
        }
        throw error;
      }
    },
    account: async (signal) => (await orAbort(opened(), signal)).account,
    close() {
      stopped.abort(new AcmeProblem({ status: null, detail: 'the issuer was closed' }));
      for (const client of clients) client.close();
    },
  };
}
