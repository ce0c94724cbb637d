import { styleText } from 'node:util';
import Table from 'cli-table3';
import { stringify } from 'yaml';

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

/** No lines between columns: what is copied, or cut by `awk`, is the words alone. */
const chars = Object.fromEntries(
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'
    .split(' ')
    .map((name) => [name, '']),
);

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
      const table = new Table({
        head: Object.keys(columns).map((name) => paint('dim', name.toUpperCase())),
        style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
        chars: { ...chars, middle: '  ' },
      });
      for (const item of items) table.push(Object.values(columns).map((read) => read(item)));
      write(
        table
          .toString()
          .split('\n')
          .map((line) => line.trimEnd())
          .join('\n'),
      );
    },
    show: (item) => write(json ? JSON.stringify(item, null, 2) : stringify(item).trimEnd()),
  };
}
