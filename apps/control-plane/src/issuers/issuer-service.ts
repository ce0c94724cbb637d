import {
  AppError,
  type Issuer,
  type IssuerRecord,
  type PutIssuer,
  recordKey,
  type StoredRecord,
  settingsId,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { Check, ConfigStore } from '@lockstep/store';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import { iso } from '../time/iso.ts';
import { sameJson } from '../validation/same-json.ts';
import { checkIssuer } from './issuer-rules.ts';
import { internalIssuer, type KnownIssuer, type KnownIssuers } from './known-issuers.ts';
import { presentIssuer } from './present-issuer.ts';
import { keepIssuerSecrets, openSecrets, sealSecrets, splitIssuer } from './secret-fields.ts';

/** Issuers as the API shows and changes them. */
export interface IssuerService {
  view(name: string): Promise<Issuer>;
  /** All of them, by name. */
  views(): Promise<Issuer[]>;
  /** Throws `not_found`. */
  get(name: string): Promise<KnownIssuer>;
  /** True when there was none of this name before; one put as it is already makes no commit. Throws `invalid_request`. */
  put(origin: WriteOrigin, name: string, body: PutIssuer): Promise<boolean>;
  /** Removes what was put; an issuer that is there by itself goes back to what it was. Throws `not_found`, `in_use`. */
  remove(origin: WriteOrigin, name: string): Promise<void>;
}

/** The claim by which a route tells that it names an issuer: found by its prefix, so that none has to be looked through. */
export function issuerClaim(issuer: string, route: string): string {
  return `issuer ${issuer} ${route}`;
}

export interface IssuerServiceOptions {
  store: ConfigStore;
  sealer: Sealer;
  known: KnownIssuers;
  /** The URL of the issuer's account at its CA, once it has been made. */
  findAccountUrl: (issuer: KnownIssuer) => Promise<string | null>;
  now?: () => number;
}

export function createIssuerService({
  store,
  sealer,
  known,
  findAccountUrl,
  now = Date.now,
}: IssuerServiceOptions): IssuerService {
  const open = ({ id, value }: StoredRecord<'issuer'>) =>
    openSecrets(sealer, value.sealedSecrets, recordKey('issuer', id));

  async function present(issuer: KnownIssuer): Promise<Issuer> {
    const secrets = issuer.record === null ? {} : open(issuer.record);
    return presentIssuer(issuer, secrets, await findAccountUrl(issuer));
  }

  async function get(name: string): Promise<KnownIssuer> {
    const [issuer] = await known.getMany([name]);
    if (issuer == null) throw issuerNotFound(name);
    return issuer;
  }

  async function put(origin: WriteOrigin, name: string, body: PutIssuer): Promise<boolean> {
    const id = name;
    const next = splitIssuer(withoutRepeats(body));
    return await writeInTurn(store, [recordKey('issuer', name)], async () => {
      const [issuer] = await known.getMany([name]);
      const record = issuer?.record ?? null;
      const before = record === null ? null : { config: record.value.config, secrets: open(record) };
      const secrets = keepIssuerSecrets(next, before);
      checkIssuer(name, next.config, secrets);
      origin.condition?.(issuer == null ? null : (record?.revision ?? 0));
      if (before !== null && sameJson({ config: next.config, secrets }, before)) return false;
      const updatedAt = iso(now());
      const value: IssuerRecord = {
        config: next.config,
        sealedSecrets: sealSecrets(sealer, secrets, recordKey('issuer', id)),
        createdAt: record?.value.createdAt ?? updatedAt,
        updatedAt,
      };
      await commit(store, {
        ...origin,
        checks: [{ kind: 'issuer', id, revision: record?.revision ?? null }],
        changes: [{ op: 'put', kind: 'issuer', id, value }],
      });
      return issuer == null;
    });
  }

  async function remove(origin: WriteOrigin, name: string): Promise<void> {
    await writeInTurn(store, [recordKey('issuer', name)], async () => {
      const { record, source } = await get(name);
      if (record === null) {
        if (name === internalIssuer) return origin.condition?.(0); // it is as it was already
        throw new AppError(
          'in_use',
          `issuer "${name}" comes from the ${source}: LOCKSTEP_ACME_DIRECTORY names it`,
          {
            facts: { issuer: name },
          },
        );
      }
      const checks: Check[] = [{ kind: 'issuer', id: name, revision: record.revision }];
      if (!staysWithout(name)) checks.push(await refuseNamed(name));
      origin.condition?.(record.revision);
      await commit(store, {
        ...origin,
        checks,
        changes: [{ op: 'delete', kind: 'issuer', id: name }],
      });
    });
  }

  /** Whether there is still an issuer of this name without the one put. */
  function staysWithout(name: string): boolean {
    return name === internalIssuer || known.defaultChain.includes(name);
  }

  /**
   * Throws `in_use` while the settings or a route name the issuer. Settings that come to name it meanwhile fail the commit; a route
   * written in the very moment between look and commit may still name it, and its orders then pass it over.
   */
  async function refuseNamed(name: string): Promise<Check> {
    const settings = await store.get('settings', settingsId);
    if (settings?.value.config.issuers?.includes(name)) {
      throw new AppError('in_use', `the settings name issuer "${name}"; take it out of their issuers first`, {
        facts: { issuer: name },
      });
    }
    const [holder] = await store.findClaims(issuerClaim(name, ''), 1);
    if (holder !== undefined) {
      throw new AppError(
        'in_use',
        `route "${holder.id}" names issuer "${name}"; take it out of its issuers first`,
        {
          facts: { issuer: name, route: holder.id },
        },
      );
    }
    return { kind: 'settings', id: settingsId, revision: settings?.revision ?? null };
  }

  return {
    get,
    put,
    remove,
    view: async (name) => present(await get(name)),
    views: async () => Promise.all((await known.list()).map(present)),
  };
}

function withoutRepeats(body: PutIssuer): PutIssuer {
  if (body.type === 'internal' || body.challenges === undefined) return body;
  return { ...body, challenges: [...new Set(body.challenges)] };
}

function issuerNotFound(name: string): AppError {
  return new AppError('not_found', `there is no issuer "${name}"`, { facts: { issuer: name } });
}
