import { writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';

export interface Quantiles {
  n: number;
  p50: number;
  p99: number;
  max: number;
}

/** By nearest rank. */
export function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { n: sorted.length, p50: round(at(0.5)), p99: round(at(0.99)), max: round(at(1)) };
}

export function median(values: readonly number[]): number {
  return quantilesOf(values).p50;
}

/** Three significant digits, or whole. */
export function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

export function printTable(head: string[], rows: (string | number)[][]): void {
  const lines = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  for (const [index, line] of lines.entries()) {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    print(`| ${cells.join(' | ')} |`);
    if (index === 0) print(`|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  }
}

/** Writes the figures to `path`; without one, prints them. */
export function writeJson(benchmark: string, figures: object, path: string | undefined): void {
  const text = JSON.stringify(
    { benchmark, at: new Date().toISOString(), machine: machine(), ...figures },
    null,
    2,
  );
  if (path === undefined) print(`\n${text}`);
  else writeFileSync(path, `${text}\n`);
}

function machine(): { cpu: string; cores: number; system: string; node: string } {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    system: `${platform()} ${arch()}`,
    node: process.versions.node,
  };
}
