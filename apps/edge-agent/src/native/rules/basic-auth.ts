import {
  AppError,
  clientKey,
  passwordOf,
  type RouteRecord,
  type RouteSecrets,
  readPasswordHash,
  recordKey,
} from '@lockstep/contract';
import type { PasswordVerdict } from './password-checks.ts';
import type { Gate, GateAnswer } from './rule.ts';
import type { RuleServices } from './rule-services.ts';
import { fieldOf } from './ruled-request.ts';

/** A name and a password, in base64 (RFC 7617). */
const longestCredentials = 2_048;

export interface Credentials {
  name: string;
  password: string;
}

/** Reads the value of Authorization; null for what is no Basic authentication. */
export function readCredentials(authorization: string | undefined): Credentials | null {
  if (authorization === undefined || authorization.length > longestCredentials) return null;
  const [, encoded] = /^basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(authorization) ?? [];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? null : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** `basicAuth` of a route. Throws for one whose hashes are not there, or cannot be checked: it is never served without. */
export function compileBasicAuth(
  { basicAuth, sealedSecrets }: RouteRecord,
  route: string,
  { passwords, open }: Pick<RuleServices, 'passwords' | 'open'>,
): Gate | null {
  if (basicAuth === undefined) return null;
  const secrets: RouteSecrets =
    sealedSecrets === undefined ? {} : JSON.parse(open(sealedSecrets, recordKey('route', route)));
  const hashes = new Map(basicAuth.users.map(({ name }) => [name, hashOf(name, secrets)]));
  const [anyHash = ''] = hashes.values();
  const realm = basicAuth.realm.replace(/["\\]/g, '\\$&');
  const challenge = ['www-authenticate', `Basic realm="${realm}", charset="UTF-8"`];
  const wrong: GateAnswer = { reason: 'not_authenticated', fields: challenge };
  const busy: GateAnswer = { reason: 'passwords_busy', fields: ['retry-after', '5'] };

  function answerTo(verdict: PasswordVerdict, isUser: boolean): GateAnswer | null {
    if (verdict === 'busy') return busy;
    return verdict === 'right' && isUser ? null : wrong;
  }

  return {
    pass(request) {
      const credentials = readCredentials(fieldOf(request, 'authorization'));
      if (credentials === null) return wrong;
      const { name, password } = credentials;
      const hash = hashes.get(name);
      const isUser = hash !== undefined;
      // A name that there is not takes as long as one that there is, whatever its password.
      const verdict = passwords.check(hash ?? anyHash, password, clientKey(request.clientAddress));
      if (!(verdict instanceof Promise)) return answerTo(verdict, isUser);
      return verdict.then((late) => answerTo(late, isUser));
    },
  };
}

function hashOf(name: string, secrets: RouteSecrets): string {
  const hash = secrets[passwordOf(name)];
  if (hash === undefined) throw new AppError('bad_configuration', `it has no password for "${name}"`);
  const read = readPasswordHash(hash);
  if ('fault' in read)
    throw new AppError('bad_configuration', `the password hash of "${name}" ${read.fault}`);
  return hash;
}
