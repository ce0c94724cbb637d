export const oldestNode: number;
export function findPinnedNode(root: string, platform?: string, arch?: string): string | null;
export function runsTypeScript(version?: string): boolean;
