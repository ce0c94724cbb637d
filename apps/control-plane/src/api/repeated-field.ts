import { pointerPart } from '../validation/invalid-field.ts';

/** An object or a list that is open: the fields it has so far, or null in a list, and the one that is read. */
interface Open {
  fields: Set<string> | null;
  current: string | number;
}

/**
 * The JSON pointer of the first field that an object has twice, or null. Readers differ about which of the two counts (RFC 8259, section
 * 4). Only for what `JSON.parse` takes.
 */
export function repeatedField(json: string): string | null {
  const open: Open[] = [];
  let isName = false;
  for (let at = 0; at < json.length; at += 1) {
    const inside = open.at(-1);
    switch (json[at]) {
      case '{':
        open.push({ fields: new Set(), current: '' });
        isName = true;
        break;
      case '[':
        open.push({ fields: null, current: 0 });
        break;
      case '}':
      case ']':
        open.pop();
        isName = false;
        break;
      case ',':
        if (typeof inside?.current === 'number') inside.current += 1;
        isName = inside?.fields !== null;
        break;
      case '"': {
        const start = at;
        for (at += 1; json[at] !== '"'; at += 1) if (json[at] === '\\') at += 1;
        if (!isName || inside === undefined || inside.fields === null) break;
        isName = false;
        inside.current = JSON.parse(json.slice(start, at + 1)) as string;
        if (inside.fields.has(inside.current))
          return open.map(({ current }) => pointerPart(String(current))).join('');
        inside.fields.add(inside.current);
      }
    }
  }
  return null;
}
