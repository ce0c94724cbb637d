export function findStale(root: string): string | null;
export function installDependencies(
  root: string,
  options?: { print?: (line: string) => void; run?: (root: string, command: string) => number | null },
): 0 | 1;
