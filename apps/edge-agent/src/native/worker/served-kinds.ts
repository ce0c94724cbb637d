import type { Kind } from '@lockstep/contract';

/** The kinds of records that a worker puts to use. Each has its table in configuration.ts. */
export const servedKinds = [
  'route',
  'certificate',
  'challenge',
  'staple',
  'edge-settings',
  'session-tickets',
] as const satisfies readonly Kind[];

export type ServedKind = (typeof servedKinds)[number];
