import type { components } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { readDocuments } from '../declared/read-documents.ts';
import type { Session } from '../session/open-session.ts';

type Patch = components['schemas']['PatchSettings'];
type Tree = { [name: string]: unknown };

export async function getSettings({ client, output }: Session, name?: string): Promise<void> {
  const settings: unknown = await client.settings.get();
  if (name === undefined) return output.show(settings);
  const found = name
    .split('.')
    .reduce<unknown>((at, part) => (isTree(at) && Object.hasOwn(at, part) ? at[part] : undefined), settings);
  if (found === undefined) throw new AppError('not_found', `there is no setting "${name}"`);
  output.show(found);
}

export async function setSettings(
  { client, output }: Session,
  changes: string[],
  file?: string,
): Promise<void> {
  const patch: Tree = {};
  if (file !== undefined)
    for (const { value, place } of readDocuments(file)) {
      if (!isTree(value)) throw new AppError('bad_configuration', `${place} has no settings`);
      Object.assign(patch, value);
    }
  for (const change of changes) merge(patch, change);
  if (Object.keys(patch).length === 0)
    throw new AppError('bad_configuration', 'nothing is to be set; give setting=value, or --file');
  const settings: unknown = await client.settings.patch(patch as Patch);
  // To people what they set, as it is now, among some eighty others.
  output.show(output.json ? settings : partOf(settings, patch));
}

function partOf(from: unknown, like: unknown): unknown {
  if (!isTree(from) || !isTree(like)) return from ?? null;
  return Object.fromEntries(Object.keys(like).map((name) => [name, partOf(from[name], like[name])]));
}

function merge(patch: Tree, change: string): void {
  const at = change.indexOf('=');
  if (at < 1) throw new AppError('bad_configuration', `"${change}" is not setting=value`);
  const parts = change.slice(0, at).split('.');
  const last = parts.pop() as string;
  let tree = patch;
  for (const part of parts) {
    const below = Object.hasOwn(tree, part) ? tree[part] : undefined;
    const next: Tree = isTree(below) ? below : {};
    Object.defineProperty(tree, part, { value: next, enumerable: true, writable: true, configurable: true });
    tree = next;
  }
  Object.defineProperty(tree, last, {
    value: readValue(change.slice(at + 1)),
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
