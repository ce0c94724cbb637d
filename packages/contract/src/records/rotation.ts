import { recordKind } from './kind-module.ts';

/** The one record of its kind. */
export const rotationId = 'rotation';

/**
 * Stands from the commit by which the fleet began to seal with other keys until nothing is sealed with an older one. Nothing but what it
 * says is written down of a rotation: which values are left shows by themselves.
 */
export interface RotationRecord {
  startedAt: string;
  /** The ids of the keys that were given up, each secret key with the edge key that is derived from it. */
  older: { control: string; edge: string }[];
  /** How many values are left, by the id of their key; null until they were counted. */
  left: Record<string, number> | null;
}

export const rotation = recordKind<RotationRecord>()({
  kind: 'rotation',
  audience: 'control',
  version: 1,
  secret: {},
  journal: (after) => after === null || after.left === null,
});
