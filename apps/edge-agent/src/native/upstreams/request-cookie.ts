/** The value of a field, by its name in lower case; null without one. `headers`: flat pairs. */
export function fieldOf(headers: readonly string[], name: string): string | null {
  for (let i = 0; i < headers.length; i += 2) {
    const given = headers[i]!;
    if (given.length === name.length && given.toLowerCase() === name) return headers[i + 1]!;
  }
  return null;
}

/** The value of the first cookie of this name (RFC 6265, section 5.4); null without one. */
export function cookieOf(headers: readonly string[], name: string): string | null {
  const cookies = fieldOf(headers, 'cookie');
  if (cookies === null) return null;
  for (const pair of cookies.split(';')) {
    const equals = pair.indexOf('=');
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return null;
}
