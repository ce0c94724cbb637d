import { isDeepStrictEqual } from 'node:util';
import type { RouteRecord } from '@lockstep/contract';
import { compileAccess } from './access.ts';
import { compileAlsoServe } from './also-serve.ts';
import { compileBasicAuth } from './basic-auth.ts';
import { compileCompression } from './compression.ts';
import { compileAnswerHeaders, compileRequestHeaders } from './header-changes.ts';
import { compileHsts } from './hsts.ts';
import { compileMaintenance } from './maintenance.ts';
import { compilePages, type Pages } from './pages.ts';
import { compileRateLimit } from './rate-limit.ts';
import { compileRedirect } from './redirect.ts';
import { compileResponse } from './response.ts';
import { compileRewrite } from './rewrite.ts';
import type { AnswerRule, BodyRule, Gate, RequestRule } from './rule.ts';
import type { RuleServices } from './rule-services.ts';

/** What a route does with its requests and answers beside sending them on; compiled once, when its record is put in force. */
export interface RouteRules {
  /** Asked in turn: the first that answers has the last word. */
  readonly gates: readonly Gate[];
  readonly requests: readonly RequestRule[];
  readonly answers: readonly AnswerRule[];
  readonly body: BodyRule | null;
  /** In place of problems; null: those of the settings. */
  readonly pages: Pages | null;
  /** What they were compiled of, and each rule by its maker, so that a change elsewhere keeps what a rule remembers. */
  readonly of: RouteRecord;
  readonly made: ReadonlyMap<Maker<object>, object>;
}

interface Maker<R extends object> {
  /** The field that asks for it, and others that it is made of: it is made anew when one of these has changed, and then alone. */
  of: readonly [keyof RouteRecord, ...(keyof RouteRecord)[]];
  /** Null for a route that does not ask for it. Throws for what cannot be served, and the record is refused. */
  compile(record: RouteRecord, route: string, services: RuleServices): R | null;
}

/** In the order in which they are asked. */
const gates: Maker<Gate>[] = [
  { of: ['alsoServe', 'hosts'], compile: compileAlsoServe },
  { of: ['access'], compile: compileAccess },
  { of: ['rateLimit'], compile: compileRateLimit },
  { of: ['maintenance'], compile: compileMaintenance },
  { of: ['basicAuth', 'sealedSecrets'], compile: compileBasicAuth },
  { of: ['redirect'], compile: compileRedirect },
  { of: ['response'], compile: compileResponse },
];
const requests: Maker<RequestRule>[] = [
  { of: ['headers'], compile: compileRequestHeaders },
  { of: ['rewrite'], compile: compileRewrite },
];
const answers: Maker<AnswerRule>[] = [
  { of: ['headers'], compile: compileAnswerHeaders },
  { of: ['hsts'], compile: compileHsts },
];
const bodies: Maker<BodyRule>[] = [{ of: ['compression'], compile: compileCompression }];
const pages: Maker<Pages>[] = [{ of: ['pages'], compile: compilePages }];

const fields = new Set([gates, requests, answers, bodies, pages].flat().map(({ of }) => of[0]));

/** The rules of a route; null where it has none, which is what most have. `before` are those that it had. */
export function compileRules(
  route: string,
  record: RouteRecord,
  before: RouteRules | null,
  services: RuleServices,
): RouteRules | null {
  let any = false;
  for (const field of fields) if (record[field] !== undefined) any = true;
  if (!any) return null;
  const made = new Map<Maker<object>, object>();
  const make = <R extends object>(makers: readonly Maker<R>[]): R[] =>
    makers.flatMap((maker) => {
      const kept =
        before !== null && maker.of.every((field) => isDeepStrictEqual(before.of[field], record[field]));
      const rule = kept
        ? ((before.made.get(maker) as R | undefined) ?? null)
        : maker.compile(record, route, services);
      if (rule !== null) made.set(maker, rule);
      return rule ?? [];
    });
  const rules: RouteRules = {
    gates: make(gates),
    requests: make(requests),
    answers: make(answers),
    body: make(bodies)[0] ?? null,
    pages: make(pages)[0] ?? null,
    of: record,
    made,
  };
  return made.size === 0 ? null : rules;
}
