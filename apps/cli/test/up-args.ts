import { join } from 'node:path';

/** Seven ports in a row: the API, then HTTPS, HTTP and admin of two edges. The data folder is `data` in `folder`. */
export function upArgs(first: number, folder: string): string[] {
  return ['up', '--data-dir', join(folder, 'data'), ...portArgs(first)];
}

function portArgs(first: number): string[] {
  const ports = { '--port': 0, '--https-port': 1, '--http-port': 3, '--admin-port': 5 };
  return Object.entries(ports).flatMap(([flag, offset]) => [flag, String(first + offset)]);
}
