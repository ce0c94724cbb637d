/** Who changes the store: the bearer of an API token, or a part of the control plane by itself. */
export type Principal =
  | {
      kind: 'token';
      name: string;
      /** Left out: the admin's, which the environment names. */
      id?: string;
      /** Whose token it is; left out: nobody's in particular. */
      tenant?: string;
    }
  | { kind: 'coordinator' | 'on-demand' | 'stapler' | 'system' | 'caddy-api' | 'ownership' };

/** Whose commit it is, and what led to it. */
export interface CommitOrigin {
  by: Principal;
  /** The API request, where one led to it directly. */
  requestId: string | null;
  /** The number of the commit that led to it, in the same history: what was decided upon the record that one wrote. */
  cause: number | null;
}
