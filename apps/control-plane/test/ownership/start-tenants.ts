import type { DnsServer } from '@lockstep/testkit';
import type t from 'tap';
import { adminToken, type Shared, startControlPlane } from '../start-control-plane.ts';

export const upstreams = [{ url: 'http://127.0.0.1:3000' }];

const scopes = ['routes:*', 'certificates:*', 'events:read', 'tokens:*', 'audit:read'];

/** A control plane under which hosts are to be proven, an edge that acknowledges everything, an operator, and tenants with tokens. */
export async function startTenants(
  test: Pick<typeof t, 'teardown'>,
  dir: string,
  { dns, settings = {}, shared }: { dns?: DnsServer; settings?: object; shared?: Partial<Shared> },
) {
  const controlPlane = await startControlPlane(test, dir, {}, shared);
  const as =
    (token: string) =>
    (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
      controlPlane.call(method, path, {
        headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...headers },
        ...(body !== undefined && { body }),
      });
  const admin = as(adminToken);
  controlPlane.acknowledge('edge-1');
  const resolvers = dns === undefined ? {} : { resolvers: [dns.address] };
  if (shared === undefined)
    await admin('PATCH', '/v1/settings', { ownership: 'txt', ...resolvers, ...settings });

  async function tenant(name: string, more: object = {}) {
    const made = await admin('POST', '/v1/tokens', { name, tenant: name, scopes, ...more });
    return callerOf(as(made.body.token), made.body.token as string);
  }
  function callerOf(call: ReturnType<typeof as>, token = adminToken) {
    const wait = { prefer: 'wait=60' };
    return {
      token,
      call,
      post: (body: object) => call('POST', '/v1/routes', { upstreams, ...body }, wait),
      /** Asks for nothing new, so that what waits is looked at once more. */
      again: (id: string) => call('PATCH', `/v1/routes/${id}`, {}, wait),
      show: async (id: string) => (await call('GET', `/v1/routes/${id}`)).body,
    };
  }
  return { ...controlPlane, as, admin, operator: callerOf(admin), tenant };
}

interface Requirement {
  type: string;
  name: string;
  value: string;
  purpose: string;
}

/** The proof that a route, or a look at a host, asks for first. */
export function proofOf(answer: { body: { status?: object; dnsRequirements?: object } }): Requirement {
  const { dnsRequirements } = (answer.body.status ?? answer.body) as { dnsRequirements: Requirement[] };
  return dnsRequirements.find(({ purpose }) => purpose === 'ownership')!;
}

export const setRecord = ({ name, value }: Requirement) => `add ${name}. 1 TXT "${value}"`;
export const dropRecord = ({ name, value }: Requirement) => `delete ${name}. TXT "${value}"`;
