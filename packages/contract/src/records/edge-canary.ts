import type { CanaryRecord } from './canary.ts';
import { recordKind } from './kind-module.ts';

/** The one record of its kind. */
export const edgeCanaryId = 'canary';

/** The canary of the edge key: edges read it before they open anything. */
export const edgeCanary = recordKind<CanaryRecord>()({
  kind: 'edge-canary',
  audience: 'edge',
  version: 1,
  secret: { sealed: true },
  journal: () => false,
});
