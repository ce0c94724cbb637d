import type { Route, RouteFilter, RouteInput, RoutePatch } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { parse, stringify } from 'yaml';
import { editableRoute } from '../declared/editable.ts';
import { readDocuments } from '../declared/read-documents.ts';
import { exitCodes } from '../output/exit-codes.ts';
import { createRouteProgress } from '../output/route-progress.ts';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';
import { editText } from './edit-text.ts';
import { findRoute } from './find-route.ts';

export interface BodyFlags {
  to?: string[];
  redirect?: string;
  path?: string[];
  tenant?: string;
  metadata?: Record<string, string>;
  wait?: number | true;
}

export type AddRouteFlags = BodyFlags & { id?: string; file?: string };
export type EditRouteFlags = BodyFlags & { host?: string[]; patch?: string };
export type InstructionsFlags = { host?: string; html?: boolean };
export type ListRoutesFlags = RouteFilter;

const usualWaitSeconds = 60;

export async function addRoute(session: Session, hosts: string[], flags: AddRouteFlags): Promise<void> {
  const { client } = session;
  const { file, to, redirect } = flags;
  if (file === undefined && hosts.length === 0) throw incomplete('it has no host');
  if (file === undefined && to === undefined && redirect === undefined)
    throw incomplete('it leads nowhere: give --to, --redirect, or all of it with --file');
  const body = {
    ...fromFile(file),
    ...(hosts.length > 0 && { hosts }),
    ...bodyOf(flags),
  } as RouteInput;
  const id = flags.id ?? body.id;
  const route =
    id === undefined ? await client.routes.create(body) : await client.routes.put(id, { ...body, id });
  await finish(session, route, flags);
}

export async function listRoutes({ client, output }: Session, flags: ListRoutesFlags): Promise<void> {
  const { host, state, tenant, q } = flags;
  const filter = {
    ...(host && { host }),
    ...(state && { state }),
    ...(tenant && { tenant }),
    ...(q && { q }),
  };
  const routes: Route[] = [];
  for await (const route of client.routes.list(filter)) routes.push(route);
  output.list(routes, {
    id: ({ id }) => id,
    hosts: (route) => shortened(route.hosts),
    to: (route) => shortened(leadsTo(route)),
    state: (route) => paintState(output, route),
    nodes: ({ status: { nodes } }) => `${nodes.live}/${nodes.of}`,
  });
}

export async function showRoute(session: Session, text: string): Promise<void> {
  session.output.show(await findRoute(session, text));
}

export async function editRoute(session: Session, text: string, flags: EditRouteFlags): Promise<void> {
  const { client, output } = session;
  const before = await findRoute(session, text);
  const patch = { ...patchOf(flags.patch), ...bodyOf(flags), ...(flags.host && { hosts: flags.host }) };
  const route =
    Object.keys(patch).length > 0
      ? await client.routes.patch(before.id, patch as RoutePatch)
      : await editText(`${before.id}.yaml`, stringify(editableRoute(before)), async (edited) =>
          client.routes.put(before.id, parse(edited) as RouteInput, { ifRevision: before.revision }),
        );
  if (route === null) return output.line('nothing was changed');
  await finish(session, route, flags);
}

export async function removeRoutes(
  session: Session,
  texts: string[],
  flags: { yes?: boolean },
): Promise<void> {
  const routes: Route[] = [];
  for (const text of texts) routes.push(await findRoute(session, text));
  const named = routes.map(({ id, hosts }) => `${id} (${shortened(hosts)})`).join(', ');
  if (!(await confirmed(`Delete ${named}?`, flags))) return;
  for (const { id } of routes) {
    await session.client.routes.delete(id);
    if (!session.output.json) session.output.line(`deleted ${id}`);
  }
}

export async function checkRoute(session: Session, text: string): Promise<void> {
  const { client, output } = session;
  const check = await client.routes.check((await findRoute(session, text)).id);
  if (output.json) output.show(check);
  else {
    output.list(check.hosts, {
      host: ({ host }) => host,
      '': ({ ok }) => (ok ? output.paint('green', 'ok') : output.paint('red', 'no')),
      finding: ({ detail }) => detail,
    });
  }
  if (!check.ok) process.exitCode = exitCodes.faultsFound;
}

export async function printInstructions(
  session: Session,
  text: string,
  { host, html }: InstructionsFlags,
): Promise<void> {
  const { client, output } = session;
  const { id } = await findRoute(session, text);
  const instructions = await client.routes.instructions(id, { host, format: html ? 'html' : 'text' });
  if (output.json) output.show({ instructions });
  else output.line(instructions.trimEnd());
}

/** Says how the route stands; with `--wait`, once it is live or cannot become so by waiting. */
async function finish(session: Session, made: Route, { wait }: BodyFlags): Promise<void> {
  const { output } = session;
  const route =
    wait === undefined ? made : await follow(session, made, wait === true ? usualWaitSeconds : wait);
  if (output.json) output.show(route);
  else output.line(`${route.id}  ${shortened(route.hosts)}  ${paintState(output, route)}${reasonOf(route)}`);
  if (wait !== undefined && route.status.state !== 'live') process.exitCode = exitCodes.notLive;
}

async function follow({ client, output }: Session, made: Route, waitSeconds: number): Promise<Route> {
  const progress = await createRouteProgress(output);
  const signal = AbortSignal.timeout(waitSeconds * 1_000);
  const end = new AbortController();
  // Hosts that somebody waits for come first in the queue; an empty PATCH changes nothing else.
  client.routes.patch(made.id, {}, { wait: waitSeconds, signal: end.signal }).catch(() => {});
  let route = made;
  try {
    for await (route of client.routes.watch(made.id, { signal })) progress.show(route);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    end.abort();
    progress.end();
  }
  return route;
}

function bodyOf({ to, redirect, path, tenant, metadata }: BodyFlags): Record<string, unknown> {
  return {
    ...(to && { upstreams: to.map((url) => ({ url })) }),
    ...(redirect && { redirect: { to: redirect } }),
    ...(path && { paths: path }),
    ...(tenant && { tenant }),
    ...(metadata && { metadata }),
  };
}

function incomplete(detail: string): AppError {
  return new AppError(
    'bad_configuration',
    `${detail}, as in \`lockstep route add shop.example.com --to http://10.0.0.5:3000\``,
  );
}

function fromFile(file: string | undefined): Record<string, unknown> {
  if (file === undefined) return {};
  const [document, other] = readDocuments(file);
  if (document === undefined || other !== undefined || !isRecord(document.value))
    throw new AppError('bad_configuration', `${file} is not one route; \`lockstep apply\` takes several`);
  return document.value;
}

function patchOf(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    const patch: unknown = JSON.parse(text);
    if (isRecord(patch)) return patch;
  } catch {}
  throw new AppError('bad_configuration', '--patch takes a JSON object, like \'{"paths":["/api"]}\'');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function leadsTo({ upstreams, redirect, response }: Route): string[] {
  if (upstreams) return upstreams.map(({ url }) => url);
  return [redirect ? `redirect to ${redirect.to}` : `response ${response?.status ?? ''}`];
}

export function shortened(all: string[]): string {
  const [first = '', ...others] = all;
  return others.length === 0 ? first : `${first} +${others.length}`;
}

function paintState(output: Session['output'], { status: { state } }: Route): string {
  const style = state === 'live' ? 'green' : state === 'failed' ? 'red' : 'yellow';
  return output.paint(style, state);
}

function reasonOf({ status: { reason, certificates } }: Route): string {
  const detail = reason ?? certificates.find(({ lastError }) => lastError !== null)?.lastError?.detail;
  return detail === undefined ? '' : `: ${detail}`;
}
