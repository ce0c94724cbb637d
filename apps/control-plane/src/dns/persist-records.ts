import type { PutSettings } from '@lockstep/contract';
import { cnameChain } from './cname-chain.ts';
import type { Lookups } from './dns-lookup.ts';
import {
  judgePersistRecords,
  type PersistJudgement,
  type PersistQuestion,
  persistName,
} from './persist-record.ts';
import { findLacking } from './propagation.ts';

/** The records of dns-persist-01 as they are in the DNS. They are read, never written. */
export interface PersistRecords {
  /** What a CA would find, by the resolvers. Throws `DnsFailure`. */
  look(question: PersistQuestion): Promise<{ found: string[]; judgement: PersistJudgement }>;
  /** Those name servers that answer without a record that will do, past every cache: a CA may ask any of them. Throws `DnsFailure`. */
  lacking(question: PersistQuestion): Promise<string[]>;
}

export interface PersistRecordsOptions {
  lookups: Lookups;
  settings: { current(): Pick<PutSettings, 'authoritativeServers'> };
  now: () => number;
}

export function createPersistRecords({ lookups, settings, now }: PersistRecordsOptions): PersistRecords {
  return {
    async look(question) {
      const found = (await lookups.current().txt(persistName(question.host))).sort();
      return { found, judgement: judgePersistRecords(found, question, now()) };
    },
    async lacking(question) {
      const lookup = lookups.current();
      const asked = persistName(question.host);
      const name = (await cnameChain(lookup, asked)).at(-1) ?? asked;
      const has = (values: readonly string[]) => judgePersistRecords(values, question, now()).ok;
      const { authoritativeServers } = settings.current();
      return findLacking(lookup, { name, has, authoritativeServers });
    },
  };
}
