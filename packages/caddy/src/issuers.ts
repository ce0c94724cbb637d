import type { PutIssuer } from '@lockstep/contract/schemas';
import type { Notes } from './notes.ts';
import { type Fields, fieldsAt, listAt, textAt, textsAt } from './read-json.ts';
import { hostCovers } from './scope.ts';

/** An issuer that Caddy asks. `body` is null for one that is there already: the internal CA. */
export interface PlannedIssuer {
  name: string;
  body: PutIssuer | null;
  /** Files with PEM roots of its directory, which go into `roots`. */
  rootFiles: string[];
  at: string;
}

export interface Automation {
  issuers: PlannedIssuer[];
  /** For hosts of which nothing else is said. */
  chain: string[];
  /** Whether somebody chose it. */
  chosen: boolean;
  /** The chain of a host, where it is another than that. */
  chainOf(host: string): string[] | null;
  /** Certificates are made as handshakes ask for them. */
  onDemand: boolean;
  ask: string | null;
}

const letsEncrypt = 'https://acme-v02.api.letsencrypt.org/directory';
const zerossl = 'https://acme.zerossl.com/v2/DV90';
const wellKnown: Record<string, string> = {
  'acme-v02.api.letsencrypt.org': 'letsencrypt',
  'acme-staging-v02.api.letsencrypt.org': 'letsencrypt-staging',
  'dv.acme-v02.api.pki.goog': 'google',
};
const keyTypes: Record<string, PutIssuer['keyType']> = {
  p256: 'ecdsa-p256',
  p384: 'ecdsa-p384',
  rsa2048: 'rsa-2048',
};

/** Reads `apps.tls.automation`. */
export function readAutomation(value: unknown, at: string, notes: Notes): Automation {
  const automation = fieldsAt(value);
  notes.unread(
    automation,
    at,
    ['policies', 'on_demand'],
    ['renew_interval', 'storage_clean_interval', 'ocsp_interval'],
  );
  const issuers: PlannedIssuer[] = [];
  const policies = listAt(automation.policies).map((policy, index) =>
    readPolicy(fieldsAt(policy), `${at}.policies.${index}`, issuers, notes),
  );
  const general = policies.find(({ subjects, chain }) => subjects === null && chain !== null);
  const chosen = general !== undefined || policies.some(({ chain }) => chain !== null);
  const chain = general?.chain ??
    policies.find(({ chain }) => chain !== null && !isInternal(chain))?.chain ?? [
      keep(issuers, readIssuer({}, at, 'ecdsa-p256', notes)),
    ];
  return {
    issuers,
    chain,
    chosen,
    onDemand: policies.some((policy) => policy.onDemand),
    ask: askOf(fieldsAt(automation.on_demand), `${at}.on_demand`, notes),
    chainOf(host) {
      const policy =
        policies.find(({ subjects }) => subjects?.some((subject) => hostCovers(subject, host))) ?? general;
      const own = policy?.chain ?? null;
      return own === null || JSON.stringify(own) === JSON.stringify(chain) ? null : own;
    },
  };
}

function isInternal(chain: string[]): boolean {
  return chain.every((name) => name === 'internal');
}

interface Policy {
  /** Null: all. */
  subjects: string[] | null;
  chain: string[] | null;
  onDemand: boolean;
}

function readPolicy(policy: Fields, at: string, issuers: PlannedIssuer[], notes: Notes): Policy {
  notes.unread(
    policy,
    at,
    ['subjects', 'issuers', 'issuer', 'key_type', 'on_demand', 'storage'],
    ['disable_ocsp_stapling', 'ocsp_overrides', 'renewal_window_ratio', 'reuse_private_keys'],
  );
  const subjects = textsAt(policy.subjects);
  const named = textAt(policy.key_type);
  const keyType = named === null ? 'ecdsa-p256' : keyTypes[named];
  if (keyType === undefined)
    notes.without(`${at}.key_type`, `there are no keys of type "${named}"; certificates get ecdsa-p256`);
  const given = [...listAt(policy.issuers), ...(policy.issuer === undefined ? [] : [policy.issuer])];
  const chain = given.map((issuer, index) =>
    keep(issuers, readIssuer(fieldsAt(issuer), `${at}.issuers.${index}`, keyType ?? 'ecdsa-p256', notes)),
  );
  return {
    subjects:
      subjects === null || subjects.length === 0 ? null : subjects.map((subject) => subject.toLowerCase()),
    chain: chain.length === 0 ? null : [...new Set(chain)],
    onDemand: policy.on_demand === true,
  };
}

/** The name under which it is kept: two that differ in anything have two. */
function keep(issuers: PlannedIssuer[], issuer: PlannedIssuer): string {
  const content = JSON.stringify([issuer.body, issuer.rootFiles]);
  for (let count = 1; ; count += 1) {
    const name = count === 1 ? issuer.name : `${issuer.name}-${count}`;
    const known = issuers.find((other) => other.name === name);
    if (known === undefined) issuers.push({ ...issuer, name });
    if (known === undefined || JSON.stringify([known.body, known.rootFiles]) === content) return name;
  }
}

function readIssuer(
  issuer: Fields,
  at: string,
  keyType: NonNullable<PutIssuer['keyType']>,
  notes: Notes,
): PlannedIssuer {
  const module = textAt(issuer.module) ?? 'acme';
  if (module === 'internal') {
    notes.unread(issuer, at, ['module'], ['ca', 'lifetime', 'sign_with_root']);
    return { name: 'internal', body: null, rootFiles: [], at };
  }
  const email = plain(issuer.email, `${at}.email`, notes);
  if (module === 'zerossl') {
    notes.unread(issuer, at, ['module', 'email', 'api_key']);
    const apiKey = plain(issuer.api_key, `${at}.api_key`, notes);
    return {
      name: 'zerossl',
      rootFiles: [],
      at,
      body: { type: 'zerossl', keyType, ...(email && { email }), ...(apiKey && { apiKey }) },
    };
  }
  if (module !== 'acme') {
    notes.without(`${at}.module`, `"${module}" is no issuer that there is here; hosts go by Let’s Encrypt`);
    return {
      name: 'letsencrypt',
      rootFiles: [],
      at,
      body: { type: 'acme', directory: letsEncrypt, keyType },
    };
  }
  notes.unread(
    issuer,
    at,
    [
      'module',
      'email',
      'ca',
      'external_account',
      'challenges',
      'trusted_roots_pem_files',
      'preferred_chains',
      'profile',
    ],
    ['test_ca', 'acme_timeout', 'bind_host', 'account_key', 'certificate_lifetime', 'network_proxy'],
  );
  const directory = plain(issuer.ca, `${at}.ca`, notes) ?? letsEncrypt;
  const options = { ...challengesOf(fieldsAt(issuer.challenges), `${at}.challenges`, notes), keyType };
  const account = fieldsAt(issuer.external_account);
  const kid = plain(account.key_id, `${at}.external_account.key_id`, notes);
  const hmacKey = plain(account.mac_key, `${at}.external_account.mac_key`, notes);
  if (directory === zerossl && kid === null)
    return {
      name: 'zerossl',
      rootFiles: [],
      at,
      body: { type: 'zerossl', ...options, ...(email && { email }) },
    };
  const [preferredChain] =
    textsAt(fieldsAt(issuer.preferred_chains).any_common_name) ??
    textsAt(fieldsAt(issuer.preferred_chains).root_common_name) ??
    [];
  const profile = textAt(issuer.profile);
  return {
    name: nameOf(directory),
    rootFiles: textsAt(issuer.trusted_roots_pem_files) ?? [],
    at,
    body: {
      type: 'acme',
      directory,
      ...(email && { email }),
      ...(kid && { eab: { kid, ...(hmacKey && { hmacKey }) } }),
      ...(preferredChain && { preferredChain }),
      ...(profile && { profile }),
      ...options,
    },
  };
}

function nameOf(directory: string): string {
  const host = URL.canParse(directory) ? new URL(directory).host : directory;
  if (directory === zerossl) return 'zerossl';
  return (
    wellKnown[host] ??
    (host
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 60) ||
      'acme')
  );
}

/** A text that stands there as it is, and not in the environment of Caddy. */
function plain(value: unknown, at: string, notes: Notes): string | null {
  const text = textAt(value);
  if (text === null || !/\{[\w.]+\}/.test(text)) return text;
  notes.without(at, `"${text}" is known to Caddy alone; put it into the issuer by hand`);
  return null;
}

type ChallengeOptions = Pick<PutIssuer & { type: 'acme' }, 'challenges' | 'dnsProvider'>;

function challengesOf(challenges: Fields, at: string, notes: Notes): ChallengeOptions {
  notes.unread(challenges, at, ['http', 'tls-alpn', 'dns'], ['bind_host', 'distributed']);
  const off = (name: string) => fieldsAt(challenges[name]).disabled === true;
  const dns = fieldsAt(challenges.dns);
  if (challenges.dns !== undefined) {
    const dnsProvider = providerOf(fieldsAt(dns.provider), `${at}.dns.provider`, notes);
    notes.unread(
      dns,
      `${at}.dns`,
      ['provider'],
      ['ttl', 'propagation_delay', 'propagation_timeout', 'resolvers'],
    );
    return { challenges: ['dns-01'], ...(dnsProvider && { dnsProvider }) };
  }
  if (!off('http') && !off('tls-alpn')) return {};
  return { challenges: off('http') ? ['tls-alpn-01'] : ['http-01'] };
}

function providerOf(provider: Fields, at: string, notes: Notes): ChallengeOptions['dnsProvider'] {
  const name = textAt(provider.name);
  const text = (field: string) => plain(provider[field], `${at}.${field}`, notes);
  const url = 'https://api.cloudflare.com/client/v4';
  if (name === 'cloudflare') {
    const token = text('api_token');
    return { type: 'cloudflare', url, ...(token && { token }) };
  }
  if (name === 'rfc2136') {
    const [server, keyName, secret, algorithm] = [
      text('server'),
      text('key_name'),
      text('key'),
      text('key_alg'),
    ];
    const known = (['hmac-sha256', 'hmac-sha384', 'hmac-sha512'] as const).find(
      (one) => one === algorithm?.replace(/\.$/, ''),
    );
    if (server !== null && keyName !== null && (known !== undefined || algorithm === null))
      return {
        type: 'rfc2136',
        server,
        keyName,
        algorithm: known ?? 'hmac-sha256',
        ...(secret && { secret }),
      };
  }
  if (name === 'acmedns') {
    const [server, username, password, subdomain] = [
      text('server_url'),
      text('username'),
      text('password'),
      text('subdomain'),
    ];
    if (server !== null && username !== null && subdomain !== null)
      return { type: 'acme-dns', url: server, username, subdomain, ...(password && { password }) };
  }
  notes.without(
    at,
    `"${name}" is no DNS provider that there is here; set one up for the issuer, a webhook of your own for instance`,
  );
  return undefined;
}

function askOf(onDemand: Fields, at: string, notes: Notes): string | null {
  notes.unread(onDemand, at, ['ask', 'permission'], ['rate_limit']);
  const permission = fieldsAt(onDemand.permission);
  const module = textAt(permission.module);
  if (module !== null && module !== 'http') {
    notes.leftOut(`${at}.permission.module`, `"${module}" cannot be asked; an http endpoint can`);
    return null;
  }
  return textAt(permission.endpoint) ?? textAt(onDemand.ask);
}
