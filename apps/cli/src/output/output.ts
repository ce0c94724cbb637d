import { styleText } from 'node:util';
import { stringify } from 'yaml';
import { tableOf } from './table.ts';

export type Style = Parameters<typeof styleText>[0];

/** What a command answers: for people, or for programs (`--json`). */
export interface Output {
  json: boolean;
  /** Whether somebody watches: else nothing is said that is not asked for. */
  watched: boolean;
  line(text: string): void;
  /** Rows for people; `items` for programs, one JSON array. */
  list<T>(items: T[], columns: Record<string, (item: T) => string>): void;
  /** One thing: as YAML for people, JSON for programs. */
  show(item: unknown): void;
  /** Coloured where the terminal has colours. */
  paint(style: Style, text: string): string;
}

export function createOutput({ json }: { json: boolean }): Output {
  const write = (text: string) => process.stdout.write(`${text}\n`);
  const paint = (style: Style, text: string) => styleText(style, text, { stream: process.stdout });
  return {
    json,
    watched: !json && process.stdout.isTTY && process.stderr.isTTY && process.stderr.columns > 0,
    line: write,
    paint,
    list(items, columns) {
      if (json) return void write(JSON.stringify(items, null, 2));
      if (items.length === 0) return;
      const headings = Object.keys(columns).map((name) => paint('dim', name.toUpperCase()));
      const rows = items.map((item) => Object.values(columns).map((read) => read(item)));
      for (const line of tableOf(headings, rows)) write(line);
    },
    // `off` and the like in quotes: YAML 1.1, which many tools read, takes them for truth values.
    show: (item) =>
      write(json ? JSON.stringify(item, null, 2) : stringify(item, { compat: 'yaml-1.1' }).trimEnd()),
  };
}
