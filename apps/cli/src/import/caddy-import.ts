import type { Plan } from '@lockstep/caddy';
import type { CertificateDeed } from './certificate-deeds.ts';
import type { Deed } from './deeds.ts';

/** What is told beside the notes of the translation. */
export interface Line {
  at: string;
  detail: string;
}

/** All that is to be done, and what was found on the way. */
export interface CaddyImport {
  plan: Plan;
  issuers: Deed[];
  settings: Deed | null;
  certificates: CertificateDeed[];
  routes: Deed[];
  lines: Line[];
}
