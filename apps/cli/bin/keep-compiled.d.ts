export function keepCompiled(root: string): void;
