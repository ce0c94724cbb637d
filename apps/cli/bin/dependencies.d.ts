export function findStale(root: string): string | null;
export function installDependencies(
  root: string,
  options?: { print?: (line: string) => void; run?: (root: string) => number },
): 0 | 1;
