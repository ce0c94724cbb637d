import Table from 'cli-table3';

/** No lines between columns: what is copied, or cut by `awk`, is the words alone. */
const chars = Object.fromEntries(
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'
    .split(' ')
    .map((name) => [name, '']),
);

/** Rows under headings, a line each, every column as wide as it has to be. */
export function tableOf(headings: string[], rows: string[][]): string[] {
  const table = new Table({
    head: headings,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    chars: { ...chars, middle: '  ' },
  });
  table.push(...rows);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}
