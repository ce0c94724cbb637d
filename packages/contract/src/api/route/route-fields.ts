import { z } from 'zod';
import { ChallengeType } from '../challenge.ts';
import { IssuerName } from '../issuer.ts';
import { metadataField, tenantField } from '../labels.ts';
import { StoredUpstream, Upstream } from '../upstream.ts';
import { access, shownAccess } from './access.ts';
import { alsoServe } from './also-serve.ts';
import { RouteBalance } from './balance.ts';
import { basicAuth, shownBasicAuth } from './basic-auth.ts';
import { clientCertificates, shownClientCertificates } from './client-certificates.ts';
import { compression, shownCompression } from './compression.ts';
import { dns } from './dns.ts';
import { headers } from './headers.ts';
import { RouteHealth } from './health.ts';
import { hosts } from './hosts.ts';
import { hsts } from './hsts.ts';
import { RouteLimits } from './limits.ts';
import { maintenance } from './maintenance.ts';
import { match, methods } from './matchers.ts';
import { pages } from './pages.ts';
import { paths } from './paths.ts';
import { plainHttp } from './plain-http.ts';
import { rateLimit } from './rate-limit.ts';
import { redirect } from './redirect.ts';
import { response } from './response.ts';
import { RouteRetries } from './retries.ts';
import { rewrite, shownRewrite } from './rewrite.ts';
import { RouteTimeouts } from './timeouts.ts';

const issuers = z
  .array(IssuerName)
  .min(1, 'leave issuers out, or name at least one')
  .max(10)
  .transform((all) => [...new Set(all)]);
const upstreams = z
  .array(Upstream)
  .min(1, 'a route needs at least one upstream')
  .max(50)
  .refine((all) => all.some(({ weight, backup }) => weight !== 0 && backup !== true), {
    error: 'has none that takes requests: one of them needs a weight above 0, and is no backup',
    when: ({ issues }) => issues.length === 0,
  });

/**
 * What callers say of a route, and how it is shown to them: what is kept of it, patched and put back goes by this list. Whatever needs more
 * than a line has a file of its own beside this one. `records/route.ts` tells edges which fields there are.
 */
export const routeFields = {
  hosts: { given: hosts, shown: z.array(z.string()) },
  alsoServe: { given: alsoServe.optional(), shown: alsoServe.optional() },
  paths: { given: paths, shown: z.array(z.string()) },
  methods: { given: methods.optional(), shown: z.array(z.string()).optional() },
  match: { given: match.optional(), shown: match.optional() },
  upstreams: {
    given: upstreams.describe('Requests are dealt to these in turn, or as `balance` says').optional(),
    shown: z.array(StoredUpstream).optional(),
  },
  balance: {
    given: RouteBalance.optional().describe('How requests are dealt to the upstreams; left out: in turn'),
    shown: RouteBalance.optional(),
  },
  health: {
    given: RouteHealth.optional().describe(
      'How it is known which upstreams are healthy; left out: all are tried',
    ),
    shown: RouteHealth.optional(),
  },
  retries: {
    given: RouteRetries.optional().describe(
      'When a request is sent once more; left out: only what could not be sent, to each other upstream',
    ),
    shown: RouteRetries.optional(),
  },
  timeouts: { given: RouteTimeouts.optional(), shown: RouteTimeouts.optional() },
  limits: { given: RouteLimits.optional(), shown: RouteLimits.optional() },
  redirect: { given: redirect.optional(), shown: redirect.optional() },
  response: { given: response.optional(), shown: response.optional() },
  rewrite: {
    given: rewrite.describe('What becomes of the path on its way to the upstream').optional(),
    shown: shownRewrite.optional(),
  },
  maintenance: {
    given: maintenance.describe('Each request is answered 503').optional(),
    shown: maintenance.optional(),
  },
  plainHttp: { given: plainHttp.optional(), shown: plainHttp.optional() },
  hsts: {
    given: hsts.describe('Browsers come by https alone (RFC 6797)').optional(),
    shown: hsts.optional(),
  },
  pages: {
    given: pages.describe('In place of those of the settings, each by itself').optional(),
    shown: pages.optional(),
  },
  headers: {
    given: headers.describe('Fields of requests and answers that are changed on their way').optional(),
    shown: headers.optional(),
  },
  access: { given: access.describe('Which clients it is for').optional(), shown: shownAccess.optional() },
  rateLimit: {
    given: rateLimit.describe('How often it may be asked for; beyond: 429').optional(),
    shown: rateLimit.optional(),
  },
  basicAuth: {
    given: basicAuth.describe('Who may use it, by name and password; others: 401').optional(),
    shown: shownBasicAuth.optional(),
  },
  clientCertificates: {
    given: clientCertificates.describe('Clients prove who they are by certificates of their own').optional(),
    shown: shownClientCertificates.optional(),
  },
  compression: {
    given: compression.describe('Answers are compressed for clients that take it').optional(),
    shown: shownCompression.optional(),
  },
  issuers: {
    given: issuers.describe('The chain of issuers for its hosts; left out: that of the settings').optional(),
    shown: z.array(z.string()).optional(),
  },
  challenge: {
    given: ChallengeType.optional().describe('The type of challenge for its hosts; left out: what suits'),
    shown: ChallengeType.optional(),
  },
  dns: {
    given: dns.describe('How its hosts are reached; left out: they lead straight here').optional(),
    shown: dns.optional(),
  },
  tenant: { given: tenantField.optional(), shown: z.string().optional() },
  metadata: { given: metadataField.optional(), shown: z.record(z.string(), z.string()).optional() },
};

/** What a request can lead to: a route has exactly one of these. */
export const routeTargets = [
  'upstreams',
  'redirect',
  'response',
] as const satisfies readonly (keyof typeof routeFields)[];
