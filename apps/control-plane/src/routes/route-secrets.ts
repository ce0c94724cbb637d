import {
  AppError,
  isAppError,
  type PutRoute,
  passwordOf,
  type RouteRecord,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import { openSecrets, type Secrets, sealSecrets } from '../issuers/secret-fields.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { sameJson } from '../validation/same-json.ts';

type Given = Omit<PutRoute, 'id'>;

/**
 * A route as its record has it: what is secret is sealed for edges. A secret that is left out stays as it was; where none of them changed,
 * what is sealed stays the same too. Throws `invalid_request` for one that never was there.
 */
export function sealRoute(
  sealer: Sealer<'edges'> | undefined,
  id: string,
  given: Given,
  current: StoredRecord<'route'> | null,
): Given & Pick<RouteRecord, 'sealedSecrets'> {
  const { basicAuth } = given;
  if (basicAuth === undefined) return given;
  if (sealer === undefined)
    throw new AppError('internal', 'there is no key to seal the secrets of routes with');
  const key = recordKey('route', id);
  const sealedBefore = current?.value.sealedSecrets ?? null;
  const before = openKept(sealer, sealedBefore, key);
  const { users, secrets } = takePasswords(basicAuth.users, before);
  const sealed = sameJson(secrets, before) ? sealedBefore : sealSecrets(sealer, secrets, key);
  return {
    ...given,
    basicAuth: { ...basicAuth, users },
    ...(sealed === null ? {} : { sealedSecrets: sealed }),
  };
}

type Users = NonNullable<Given['basicAuth']>['users'];

function takePasswords(given: Users, before: Secrets): { users: Users; secrets: Secrets } {
  const secrets: Secrets = {};
  const users = given.map(({ name, passwordHash }, index) => {
    const hash = passwordHash ?? before[passwordOf(name)];
    if (hash === undefined) {
      throw invalidField(
        `/basicAuth/users/${index}/passwordHash`,
        `is missing, and "${name}" has none yet; \`htpasswd -nB NAME\` makes one`,
      );
    }
    secrets[passwordOf(name)] = hash;
    return { name };
  });
  return { users, secrets };
}

/** What somebody altered does not keep the route from being put anew. */
function openKept(sealer: Sealer<'edges'>, sealed: string | null, key: string): Secrets {
  try {
    return openSecrets(sealer, sealed, key);
  } catch (error) {
    if (isAppError(error, 'wrong_secret_key')) return {};
    throw error;
  }
}
