import { z } from 'zod';
import { isFields } from '../shared/fields.ts';
import { Timestamp } from '../shared/timestamp.ts';
import { CertificateStatus, State } from './certificate.ts';
import { DnsRequirement } from './dns-requirement.ts';
import { MetadataKey, Tenant } from './labels.ts';
import { PageQuery } from './page.ts';
import { Problem } from './problem.ts';
import { routeFaults } from './route/route-faults.ts';
import { routeFields, routeTargets } from './route/route-fields.ts';

/** Ids go into addresses, keys and log lines as they are. */
export const RouteId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    'an id has 1 to 128 letters, digits, dots, underscores and hyphens, and starts with a letter or digit',
  );

type Fields = typeof routeFields;
const given = columnOf('given');

/** The body of POST and PUT. */
export const PutRoute = z
  .strictObject({ id: RouteId.optional(), ...given })
  .refine((route) => routeTargets.some((target) => route[target] !== undefined), {
    error: `is missing: a route leads to one of ${routeTargets.join(', ')}`,
    path: [routeTargets[0]],
    when: ({ value }) => isFields(value), // told beside what is wrong with other fields
  })
  .superRefine((route, context) => {
    const [first, second] = routeTargets.filter((target) => route[target] !== undefined);
    if (second === undefined) return;
    const message = `cannot stand beside ${first}: a route leads to one of ${routeTargets.join(', ')}; leave one out`;
    context.addIssue({ code: 'custom', message, path: [second] });
  })
  .superRefine((route, context) => {
    for (const fault of routeFaults(route)) context.addIssue({ code: 'custom', ...fault });
  })
  .meta({
    id: 'PutRoute',
    examples: [{ hosts: ['shop.example.com'], upstreams: [{ url: 'http://10.0.0.7:3000' }] }],
  });
export type PutRoute = z.infer<typeof PutRoute>;

/** The body of PATCH (RFC 7396): what is left out stays; null, where POST may leave it out, is as left out there. */
export const PatchRoute = z.strictObject(patched(given)).meta({
  id: 'PatchRoute',
  examples: [{ upstreams: [{ url: 'http://10.0.0.8:3000' }] }, { paths: null }],
});
export type PatchRoute = z.infer<typeof PatchRoute>;

function columnOf<C extends 'given' | 'shown'>(column: C): { [F in keyof Fields]: Fields[F][C] } {
  const entries = Object.entries(routeFields).map(([name, field]) => [name, field[column]]);
  return Object.fromEntries(entries);
}

/** What is merged is checked as a whole: of an object a patch may have any part, and null takes away what may be left out. */
function patched<S extends Record<string, z.ZodType>>(
  shape: S,
): { [F in keyof S]: z.ZodOptional<z.ZodType<z.input<S[F]> | null>> } {
  const entries = Object.entries(shape).map(([name, field]) => {
    const mayGo = field instanceof z.ZodOptional || field instanceof z.ZodDefault;
    const value = patchedValue(mayGo ? (field.unwrap() as z.ZodType) : field);
    return [name, (mayGo ? z.nullable(value) : value).optional()];
  });
  return Object.fromEntries(entries);
}

function patchedValue(value: z.ZodType): z.ZodType {
  if (value instanceof z.ZodObject) return z.strictObject(patched(value.shape as Record<string, z.ZodType>));
  if (value instanceof z.ZodRecord)
    return z.record(value.keyType as z.core.$ZodRecordKey, z.nullable(value.valueType as z.ZodType));
  return value;
}

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
    hosts: z
      .array(z.object({ host: z.string(), state: State }))
      .describe('How far each host is by itself, its certificate and the route at the edges'),
    certificates: z.array(CertificateStatus),
    dnsRequirements: z
      .array(DnsRequirement)
      .describe('The records that all of its hosts need, also those that are right, in an order that stays'),
    nodes: z.object({
      live: z
        .int()
        .describe('Connected nodes that serve the route, for all of its hosts that have a certificate'),
      of: z.int().describe('Connected nodes in all'),
      expected: z.int().describe('Connected and lost nodes'),
      lost: z.array(z.string()).describe('Nodes that are expected and not heard of'),
      behind: z.array(BehindNode),
    }),
    unhealthy: z
      .array(
        z.object({
          node: z.string(),
          url: z.string(),
          since: Timestamp,
          detail: z.string().describe('All of it, in words'),
        }),
      )
      .optional()
      .describe('Upstreams of the route that nodes find unhealthy; left out where there are none'),
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
        dnsRequirements: z
          .array(DnsRequirement)
          .describe('The records that it needs, also those that are right'),
      }),
    ),
  })
  .meta({ id: 'RouteCheck' });
export type RouteCheck = z.infer<typeof RouteCheck>;

export const Route = z
  .object({
    id: z.string(),
    ...columnOf('shown'),
    revision: z.int(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    status: RouteStatus,
  })
  .meta({ id: 'Route' });
export type Route = z.infer<typeof Route>;

const routeFieldNames = Object.keys(Route.shape) as (keyof Route)[];

/** What a list with `fields` has of each route. */
export const SomeOfRoute = Route.partial().required({ id: true }).meta({ id: 'SomeOfRoute' });

const tenantOfList = Tenant.optional().describe('Only what belongs to this tenant');

const routeSorts = ['id', 'createdAt', 'updatedAt', 'host'] as const;

/** `metadata.key=value`, for any key, comes as `metadata`. */
export const RoutesQuery = PageQuery.extend({
  host: z.string().max(300).optional().describe('Those that name it, or the wildcard that stands for it'),
  tenant: tenantOfList,
  state: State.optional(),
  q: z.string().min(1).max(253).toLowerCase().optional().describe('A part of one of its hosts'),
  metadata: z
    .record(MetadataKey, z.string())
    .optional()
    .describe('Those with just these texts; `metadata.plan=pro` says the same'),
  sort: z
    .enum(routeSorts.flatMap((name) => [name, `-${name}`] as const))
    .default('id')
    .describe('`-`: the last first. Others than `id` are for up to 5,000 routes that match'),
  total: z.literal('true').optional().describe('How many match; null where that are more than are looked at'),
  fields: z
    .string()
    .regex(/^[A-Za-z]+(?:,[A-Za-z]+)*$/, 'is no list of names with commas between them')
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(routeFieldNames)))
    .optional()
    .describe('What is shown of each, beside its id, as `hosts,status`'),
});
export type RoutesQuery = z.infer<typeof RoutesQuery>;

export const RoutePage = z
  .object({
    items: z.array(z.union([Route, SomeOfRoute])),
    next: z.string().nullable(),
    total: z.int().nullable().optional().describe('With `total=true`'),
  })
  .meta({ id: 'RoutePage' });

/** The answer of `POST /v1/routes/validate`. */
export const RouteValidity = z
  .object({
    valid: z.literal(true),
    hosts: z.array(z.string()).describe('As they would be served'),
    paths: z.array(z.string()),
  })
  .meta({ id: 'RouteValidity' });
export type RouteValidity = z.infer<typeof RouteValidity>;

/** The answer of `GET /v1/dns-requirements`. */
export const HostCheck = RouteCheck.shape.hosts.element.meta({ id: 'HostCheck' });
export type HostCheck = z.infer<typeof HostCheck>;

/** A line of the answer to many routes at once. */
export const BulkLine = z
  .object({
    line: z.int().describe('Which line of the request, from 1 on; blank ones count'),
    id: z.string().nullable(),
    status: z.int().describe('What a request of its own would be answered with: 201, 200, 204, or an error'),
    changed: z.boolean(),
    error: Problem.optional(),
  })
  .meta({ id: 'BulkLine' });
export type BulkLine = z.infer<typeof BulkLine>;
