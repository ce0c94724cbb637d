import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { alg, Graph } from '@dagrejs/graphlib';
import { readImports } from './imports.ts';

/** Each group of files that import one another, types too: none of them can be understood, or changed, without the others. */
export function findRings(root: string, files: readonly string[]): string[][] {
  const graph = new Graph();
  const nameOf = (path: string) => relative(root, path).split(sep).join('/');
  for (const path of files) {
    for (const { specifier } of readImports(readFileSync(path, 'utf8'))) {
      if (specifier.startsWith('.')) graph.setEdge(nameOf(path), nameOf(join(dirname(path), specifier)));
    }
  }
  return alg.findCycles(graph).map((ring) => [...ring].sort());
}
