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

function shorten(line: string): string {
  try {
    const { msg, node, err } = JSON.parse(line) as {
      msg?: string;
      node?: string;
      err?: { message?: string };
    };
    const cause = err?.message !== undefined && err.message !== msg ? err.message : undefined;
    return [node, msg, cause].filter((part) => part !== undefined && part !== '').join(': ');
  } catch {
    return line;
  }
}
