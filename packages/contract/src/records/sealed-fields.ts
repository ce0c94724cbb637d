import type { Audience } from './kind-module.ts';
import { type Kind, kinds, kindsByName, type SealedKind } from './kinds.ts';

/** A text in a record's value that is sealed, with the record's key as its context. */
export interface SealedField {
  field: string;
  sealed: string;
  /** Whose key opens it. */
  audience: Audience;
}

export function sealedFields(kind: Kind, value: object): SealedField[] {
  return sealedNames(kind).flatMap(([field, audience]) => {
    const sealed = (value as Record<string, unknown>)[field];
    return typeof sealed === 'string' ? [{ field, sealed, audience }] : [];
  });
}

/** What is secret and said to be no one's to open is not sealed. */
function sealedNames(kind: Kind): [field: string, audience: Audience][] {
  const secret: Record<string, Audience | true> = kindsByName.get(kind)?.secret ?? {};
  return Object.entries(secret).flatMap(([field, audience]) =>
    audience === true ? [] : [[field, audience]],
  );
}

export const sealedKinds = kinds.filter((kind) => sealedNames(kind).length > 0) as readonly SealedKind[];
