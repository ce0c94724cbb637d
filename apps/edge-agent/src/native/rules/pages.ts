import { type EdgeSettings, escapeHtml, type RouteRecord } from '@lockstep/contract';
import type { OwnAnswer } from '../../server/own-answer.ts';
import { fieldOf, type RuledRequest } from './ruled-request.ts';
import { compileTemplate, type Template } from './template.ts';

/** HTML by the status that it stands for. */
export type Pages = ReadonlyMap<number, Template>;

/** `pages` of a route. */
export function compilePages({ pages }: Pick<RouteRecord, 'pages'>, route: string): Pages | null {
  const given = Object.entries(pages ?? {}).flatMap(([status, html]) =>
    html === undefined ? [] : [[Number(status), compileTemplate(html, route, escapeHtml)] as const],
  );
  return given.length === 0 ? null : new Map(given);
}

const ofEdges = new WeakMap<EdgeSettings['pages'], Pages>();

/** Those of the settings, compiled at their first use. */
function pagesOfEdge(pages: EdgeSettings['pages']): Pages {
  let known = ofEdges.get(pages);
  if (known === undefined) {
    known = compilePages({ pages }, '') ?? new Map();
    ofEdges.set(pages, known);
  }
  return known;
}

/** The page of the route in place of a problem, or that of the settings, where there is one and the client takes HTML. */
export function pageInstead(
  problem: OwnAnswer,
  ofRoute: Pages | null,
  settings: Pick<EdgeSettings, 'pages'>,
  request: RuledRequest,
): OwnAnswer {
  const { status } = problem;
  const page = ofRoute?.get(status) ?? pagesOfEdge(settings.pages).get(status);
  if (page === undefined || !takesHtml(fieldOf(request, 'accept'))) return problem;
  const fields = ['content-type', 'text/html; charset=utf-8'];
  for (let i = 0; i < problem.fields.length; i += 2) {
    if (problem.fields[i] !== 'content-type') fields.push(problem.fields[i]!, problem.fields[i + 1]!);
  }
  return { status, fields, body: Buffer.from(page(request)) };
}

/** Whoever asks for other types alone, as a program that wants JSON, gets the problem. */
function takesHtml(accept: string | undefined): boolean {
  return (
    accept === undefined ||
    accept === '' ||
    /(?:^|[\s,])(?:\*\/\*|text\/\*|text\/html)\s*(?:$|[;,])/i.test(accept)
  );
}
