import { recordKind } from './kind-module.ts';

/** A sealed known text: whoever opens it has the right secret key. */
export interface CanaryRecord {
  sealed: string;
}

export const canary = recordKind<CanaryRecord>()({ kind: 'canary', audience: 'control', version: 1 });
