/** What this process has asked of issuers since it started, and what came of it: for the metrics. */
export interface CaCounts {
  /** `outcome`: `issued`, or why an attempt did not go on (a kind of failure, or `held_back` by the ledger). */
  attempt(issuer: string, outcome: string): void;
  /** `status` of the CA's answer; null: none came. */
  request(issuer: string, status: number | null): void;
  attempts(): { issuer: string; outcome: string; times: number }[];
  requests(): { issuer: string; status: string; times: number }[];
}

export function createCaCounts(): CaCounts {
  const attempts = new Map<string, number>();
  const requests = new Map<string, number>();
  const add = (counts: Map<string, number>, issuer: string, what: string) => {
    const key = `${issuer} ${what}`; // an issuer's name has no space
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  const read = (counts: Map<string, number>) =>
    [...counts].map(([key, times]) => {
      const [issuer = '', what = ''] = key.split(' ');
      return { issuer, what, times };
    });
  return {
    attempt: (issuer, outcome) => add(attempts, issuer, outcome),
    request: (issuer, status) => add(requests, issuer, String(status ?? 'none')),
    attempts: () => read(attempts).map(({ issuer, what, times }) => ({ issuer, outcome: what, times })),
    requests: () => read(requests).map(({ issuer, what, times }) => ({ issuer, status: what, times })),
  };
}
