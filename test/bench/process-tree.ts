import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of /proc/<pid>/stat a second: 100 on every Linux there is (USER_HZ). */
const ticksPerSecond = 100;

export interface ProcessFigures {
  pid: number;
  parent: number;
  name: string;
  /** User and system time so far. */
  cpuSeconds: number;
  userSeconds: number;
  systemSeconds: number;
  /** Resident memory. */
  rssBytes: number;
}

/** A process and everything below it, as /proc tells; empty when it is gone. */
export function readProcessTree(root: number): ProcessFigures[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readFigures(Number(name)))
    .filter((figures) => figures !== null);
  const tree = all.filter(({ pid }) => pid === root);
  for (let i = 0; i < tree.length; i += 1) tree.push(...all.filter(({ parent }) => parent === tree[i]!.pid));
  return tree;
}

export function cpuSecondsOf(tree: ProcessFigures[]): number {
  return tree.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

/** What all processes took that this one started, and their own, once they have ended. */
export function cpuSecondsOfEnded(): number {
  const fields = fieldsOf(readFileSync('/proc/self/stat', 'latin1'));
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

function readFigures(pid: number): ProcessFigures | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = fieldsOf(stat);
    const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return {
      pid,
      parent: Number(fields[1]),
      name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      userSeconds: Number(fields[11]) / ticksPerSecond,
      systemSeconds: Number(fields[12]) / ticksPerSecond,
      rssBytes: Number(rss?.[1] ?? 0) * 1024,
    };
  } catch {
    return null; // ended meanwhile
  }
}

/** The name stands in parentheses and may hold anything: the fields are those after the last one (proc(5)). */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
