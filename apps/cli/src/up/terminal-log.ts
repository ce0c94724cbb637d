/** Where pino's warnings and errors become short lines for the terminal. */
export function createTerminalLog(print: (line: string) => void): { write(text: string): void } {
  return {
    write(text) {
      for (const line of text.split('\n')) {
        if (line !== '') print(`  ! ${shorten(line)}`);
      }
    },
  };
}

/** Of every line, or said by `shorten` in its own place. */
const elsewhere = new Set(['level', 'time', 'pid', 'hostname', 'node', 'msg', 'err']);
const longestValue = 200;

function shorten(line: string): string {
  try {
    const fields = JSON.parse(line) as Record<string, unknown> & { err?: { message?: string } };
    const { node, msg, err } = fields;
    const cause = err?.message !== msg ? err?.message : undefined;
    const sentence = [node, msg, cause].filter((part) => part !== undefined && part !== '').join(': ');
    const about = Object.entries(fields)
      .filter(([name, value]) => !elsewhere.has(name) && /^(string|number)$/.test(typeof value))
      .map(([name, value]) => `${name} ${String(value).slice(0, longestValue)}`);
    return about.length === 0 ? sentence : `${sentence} (${about.join(', ')})`;
  } catch {
    return line;
  }
}
