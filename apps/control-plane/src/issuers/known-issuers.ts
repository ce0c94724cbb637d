import { type PutIssuer, recordKey, type StoredRecord } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { everyPage } from '../changes/every-page.ts';
import type { AcmeConfig } from '../startup/config.ts';
import { joinIssuer, openSecrets } from './secret-fields.ts';

/** The names of the issuers that are there without having been put. */
export const internalIssuer = 'internal';
const environmentIssuer = 'acme';

export interface KnownIssuer {
  name: string;
  /** `api`: put by `PUT /v1/issuers/{name}`, also where it stands in for one of the others. */
  source: 'api' | 'environment' | 'built-in';
  /** Without secrets: see `openIssuer`. */
  config: PutIssuer;
  record: StoredRecord<'issuer'> | null;
}

/** Every issuer there is: those put, that of the environment, and the internal CA. */
export interface KnownIssuers {
  /** By name. */
  list(): Promise<KnownIssuer[]>;
  /** In the order of `names`; null for those that do not exist. */
  getMany(names: string[]): Promise<(KnownIssuer | null)[]>;
  /** The chain where the settings name none: the environment's issuer if there is one, else the internal CA. */
  readonly defaultChain: string[];
}

export interface KnownIssuersOptions {
  store: ConfigStore;
  acme: AcmeConfig | null;
  /** PEM roots of the environment's issuer. */
  rootsPem: string | null;
}

export function createKnownIssuers({ store, acme, rootsPem }: KnownIssuersOptions): KnownIssuers {
  const given: KnownIssuer[] = [
    {
      name: internalIssuer,
      source: 'built-in',
      config: { type: 'internal', lifetimeHours: 2_160, keyType: 'ecdsa-p256' },
      record: null,
    },
  ];
  if (acme !== null) {
    const config: PutIssuer = {
      type: 'acme',
      directory: acme.directory,
      keyType: 'ecdsa-p256',
      ...(acme.email === null ? {} : { email: acme.email }),
      ...(rootsPem === null ? {} : { roots: rootsPem }),
    };
    given.push({ name: environmentIssuer, source: 'environment', config, record: null });
  }

  return {
    defaultChain: [acme === null ? internalIssuer : environmentIssuer],
    async list() {
      const stored = (await Array.fromAsync(everyPage(store, 'issuer'))).flat().map(fromRecord);
      const all = [...stored, ...given.filter(({ name }) => !stored.some((other) => other.name === name))];
      return all.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async getMany(names) {
      const records = await store.getMany('issuer', names);
      return names.map((name, index) => {
        const record = records[index] ?? null;
        return record === null ? (given.find((issuer) => issuer.name === name) ?? null) : fromRecord(record);
      });
    },
  };
}

/** The issuer with its secrets, for those who ask the CA. Throws `wrong_secret_key`. */
export function openIssuer({ config, record }: KnownIssuer, sealer: Sealer): PutIssuer {
  if (record === null) return config;
  return joinIssuer(config, openSecrets(sealer, record.value.sealedSecrets, recordKey('issuer', record.id)));
}

function fromRecord(record: StoredRecord<'issuer'>): KnownIssuer {
  return { name: record.id, source: 'api', config: record.value.config, record };
}
