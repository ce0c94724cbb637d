import { type Api, type ApiOptions, answerOf, createApi } from './api.ts';
import { type CallOptions, given } from './call-options.ts';
import { createCertificates } from './certificates.ts';
import { createEvents } from './events.ts';
import { createNodes, createSettings, type FleetStatus } from './fleet.ts';
import { createIssuers } from './issuers.ts';
import { createRoutes } from './routes.ts';
import { createTokens } from './tokens.ts';
import { createWebhooks } from './webhooks.ts';

export interface Client {
  routes: ReturnType<typeof createRoutes>;
  certificates: ReturnType<typeof createCertificates>;
  issuers: ReturnType<typeof createIssuers>;
  settings: ReturnType<typeof createSettings>;
  nodes: ReturnType<typeof createNodes>;
  tokens: ReturnType<typeof createTokens>;
  events: ReturnType<typeof createEvents>;
  webhooks: ReturnType<typeof createWebhooks>;
  /** Whether the fleet is in step, and who is not. */
  fleet(options?: CallOptions): Promise<FleetStatus>;
  /** Every operation of openapi.yaml, with the same retries, as openapi-fetch gives them. */
  api: Api;
}

/** A client of the control planes behind one address. It holds no connection open, and needs no closing. Throws `TypeError` without an address or a token. */
export function createClient(options: ApiOptions): Client {
  checkOptions(options);
  const api = createApi(options);
  return {
    routes: createRoutes(api),
    certificates: createCertificates(api),
    issuers: createIssuers(api),
    settings: createSettings(api),
    nodes: createNodes(api),
    tokens: createTokens(api),
    events: createEvents(api, options),
    webhooks: createWebhooks(api),
    fleet: async ({ signal } = {}) => answerOf(api.GET('/v1/fleet', { ...given(signal) })),
    api,
  };
}

/** A variable of the environment that is not set would else be asked for as `undefined`, or told of as a token that was revoked. */
function checkOptions({ url, token }: ApiOptions): void {
  if (typeof url !== 'string' || !/^https?:\/\//i.test(url) || !URL.canParse(url))
    throw new TypeError(
      `createClient: url is ${JSON.stringify(url)}; it is the address of a control plane, such as "http://127.0.0.1:7400"`,
    );
  if (typeof token !== 'string' || token.trim() === '')
    throw new TypeError('createClient: token is missing; it is the admin token, or one of /v1/tokens');
}
