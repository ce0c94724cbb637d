import type { Session } from '../session/open-session.ts';

/** Where an import goes, and how it is told of. */
export interface ImportTarget extends Session {
  apply: boolean;
}
