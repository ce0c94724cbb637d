import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { components, RouteInput } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { type ReadDocument, readDocuments } from './read-documents.ts';

type Schemas = components['schemas'];

/** What the files of `lockstep apply` say there is. */
export interface DesiredState {
  routes: Map<string, RouteInput>;
  issuers: Map<string, Schemas['PutIssuer']>;
  /** Settings that are left out stay as they are. */
  settings: Schemas['PatchSettings'];
}

/** Reads a file, or each `.yaml`, `.yml` and `.json` of a folder. Throws `bad_configuration`, with the file and the place in it. */
export function readDesiredState(path: string): DesiredState {
  const state: DesiredState = { routes: new Map(), issuers: new Map(), settings: {} };
  for (const document of filesAt(path).flatMap(readDocuments)) add(state, document);
  return state;
}

function filesAt(path: string): string[] {
  if (path === '-') return [path];
  let folder: boolean;
  try {
    folder = statSync(path).isDirectory();
  } catch (cause) {
    throw new AppError(
      'bad_configuration',
      `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
      {
        cause,
      },
    );
  }
  if (!folder) return [path];
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort();
  if (files.length === 0) throw new AppError('bad_configuration', `${path} has no .yaml, .yml or .json file`);
  return files.map((name) => join(path, name));
}

const parts = ['routes', 'issuers', 'settings'];

function add(state: DesiredState, { value, place }: ReadDocument): void {
  if (value === null) return;
  if (!isRecord(value)) throw fault(place, 'it has to be a mapping with routes, issuers or settings');
  const stranger = Object.keys(value).find((name) => !parts.includes(name));
  if (stranger !== undefined)
    throw fault(place, `it has "${stranger}", which is none of ${parts.join(', ')}`);
  const { routes = [], issuers = {}, settings = {} } = value;
  if (!Array.isArray(routes)) throw fault(place, 'routes has to be a list');
  for (const [index, route] of routes.entries()) addRoute(state, route, `${place}: routes/${index}`);
  if (!isRecord(issuers)) throw fault(place, 'issuers has to be a mapping, by name');
  for (const [name, issuer] of Object.entries(issuers)) {
    if (!isRecord(issuer)) throw fault(place, `issuers/${name} has to be a mapping`);
    if (state.issuers.has(name)) throw fault(place, `issuers/${name} is there twice`);
    state.issuers.set(name, issuer as Schemas['PutIssuer']);
  }
  if (!isRecord(settings)) throw fault(place, 'settings has to be a mapping');
  Object.assign(state.settings, settings);
}

function addRoute({ routes }: DesiredState, route: unknown, place: string): void {
  if (!isRecord(route)) throw fault(place, 'it has to be a mapping');
  const { id } = route;
  if (typeof id !== 'string') throw fault(place, 'it needs an id, by which it is known the next time');
  if (routes.has(id)) throw fault(place, `the route "${id}" is there twice`);
  routes.set(id, route as RouteInput);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fault(place: string, detail: string): AppError {
  return new AppError('bad_configuration', `${place}: ${detail}`);
}
