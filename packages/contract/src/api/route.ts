import { z } from 'zod';
import { isAppError } from '../shared/app-error.ts';
import { normaliseHost } from '../shared/hostname.ts';
import { normalisePath } from '../shared/request-path.ts';
import { Timestamp } from '../shared/timestamp.ts';
import { CertificateStatus, DnsRequirement, State } from './certificate.ts';
import { ChallengeType } from './challenge.ts';
import { IssuerName } from './issuer.ts';
import { Upstream } from './upstream.ts';

/** Ids go into addresses, keys and log lines as they are. */
export const RouteId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    'an id has 1 to 128 letters, digits, dots, underscores and hyphens, and starts with a letter or digit',
  );

export const Host = z.string().transform((input, context) => {
  try {
    return normaliseHost(input);
  } catch (error) {
    if (!isAppError(error)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
});

/**
 * A path prefix: `/api` matches `/api` and `/api/…`, not `/apis`. Kept in the form in which the paths of requests are compared with it
 * (`normalisePath`); what is not ASCII is percent-encoded first, as clients do.
 */
export const PathPrefix = z
  .string()
  .max(1024)
  .regex(/^\/[^\s?#]*$/, 'a path starts with / and has no spaces, query or fragment')
  .transform((input, context) => {
    const normal = input.isWellFormed()
      ? normalisePath(input.replace(/[^\0-\x7f]+/g, encodeURIComponent))
      : { fault: 'the path is not valid Unicode' };
    if (typeof normal === 'string') return normal.replace(/\/+$/, '') || '/';
    context.addIssue({ code: 'custom', message: normal.fault });
    return z.NEVER;
  });

const hosts = z
  .array(Host)
  .min(1, 'a route needs at least one host')
  .max(100)
  .transform((all) => [...new Set(all)]);
const paths = z
  .array(PathPrefix)
  .min(1, 'leave paths out, or name at least one')
  .max(20)
  .transform((all) => [...new Set(all)]);
const issuers = z.array(IssuerName).min(1, 'leave issuers out, or name at least one').max(10);
const upstreams = z.array(Upstream).min(1, 'a route needs at least one upstream').max(50);

/** The body of POST and PUT. */
export const PutRoute = z
  .strictObject({
    id: RouteId.optional(),
    hosts: hosts.describe('Exact names or `*.name`; stored in lower case, as A-labels'),
    paths: paths.default(['/']).describe('Path prefixes; the longest that matches wins'),
    upstreams: upstreams.describe('Requests are dealt to these in turn'),
    issuers: issuers
      .optional()
      .describe('The chain of issuers for its hosts; left out: that of the settings'),
    challenge: ChallengeType.optional().describe('The type of challenge for its hosts; left out: what suits'),
  })
  .meta({
    id: 'PutRoute',
    examples: [{ hosts: ['shop.example.com'], upstreams: [{ url: 'http://10.0.0.7:3000' }] }],
  });
export type PutRoute = z.infer<typeof PutRoute>;

/** The body of PATCH (RFC 7396): what is left out stays; `paths: null` goes back to all paths. */
export const PatchRoute = z
  .strictObject({
    hosts: hosts.optional(),
    paths: paths.nullable().optional(),
    upstreams: upstreams.optional(),
    issuers: issuers.nullable().optional(),
    challenge: ChallengeType.nullable().optional(),
  })
  .meta({
    id: 'PatchRoute',
    examples: [{ upstreams: [{ url: 'http://10.0.0.8:3000' }] }, { paths: null }],
  });
export type PatchRoute = z.infer<typeof PatchRoute>;

export const BehindNode = z
  .object({ node: z.string(), reason: z.string() })
  .meta({ id: 'BehindNode', description: 'An expected node that does not serve this, and why' });
export type BehindNode = z.infer<typeof BehindNode>;

export const RouteStatus = z
  .object({
    state: State,
    reason: z
      .string()
      .optional()
      .describe('Why the route is not live, where there is more to say than the state'),
    queue: z
      .object({
        position: z.int().describe('1: it is next'),
        estimatedAt: z
          .string()
          .nullable()
          .describe('When its turn comes, by the pace of the last minute; null while that is not known'),
      })
      .optional()
      .describe('While a first attempt of one of its hosts waits for its turn: that of the last of them'),
    certificates: z.array(CertificateStatus),
    dnsRequirements: z.array(DnsRequirement).describe('With `waiting_for_dns`: the records to create'),
    nodes: z.object({
      live: z
        .int()
        .describe('Connected nodes that serve the route, for all of its hosts that have a certificate'),
      of: z.int().describe('Connected nodes in all'),
      expected: z.int().describe('Connected and lost nodes'),
      lost: z.array(z.string()).describe('Nodes that are expected and not heard of'),
      behind: z.array(BehindNode),
    }),
  })
  .meta({ id: 'RouteStatus' });
export type RouteStatus = z.infer<typeof RouteStatus>;

/** The answer of `POST /v1/routes/{id}/check`. */
export const RouteCheck = z
  .object({
    route: z.string(),
    ok: z.boolean().describe('Whether an order could succeed for every host'),
    hosts: z.array(
      z.object({
        host: z.string(),
        ok: z.boolean(),
        detail: z.string().describe('What is wrong, or what was found'),
        dnsRequirements: z.array(DnsRequirement).describe('The records to create'),
      }),
    ),
  })
  .meta({ id: 'RouteCheck' });
export type RouteCheck = z.infer<typeof RouteCheck>;

export const Route = z
  .object({
    id: z.string(),
    hosts: z.array(z.string()),
    paths: z.array(z.string()),
    upstreams: z.array(z.object({ url: z.string() })),
    issuers: z.array(z.string()).optional(),
    challenge: ChallengeType.optional(),
    revision: z.int(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    status: RouteStatus,
  })
  .meta({ id: 'Route' });
export type Route = z.infer<typeof Route>;
