import type { Fault } from './fault.ts';

/** Letters, digits and `-._~` mean the same with and without percent-encoding (RFC 3986, section 2.3). */
const unreserved = /[A-Za-z0-9._~-]/;
/**
 * What a path may have unencoded: `pchar` and `/` (RFC 3986, section 3.3), and those that it may not but that clients send, and that no
 * reader takes for anything else. Not among them is the backslash, which some take for a slash.
 */
const pathCharacter = /^[\w!$&'()*+,;=:@~./"<>[\]^`{|}-]$/;

const plainInPath = new Uint8Array(128);
const plainInQuery = new Uint8Array(128);
for (let code = 0x21; code < 0x7f; code += 1) {
  const character = String.fromCharCode(code);
  if (pathCharacter.test(character)) plainInPath[code] = 1;
  if (character !== '#') plainInQuery[code] = 1;
}

/** Whether a path is normal as it is, by one look at each character; false also where a closer look would say yes. */
export function plainPath(path: string): boolean {
  let afterSlash = false;
  for (let i = 0; i < path.length; i += 1) {
    const code = path.charCodeAt(i);
    if (plainInPath[code] !== 1) return false;
    if (code === 0x2f) {
      if (afterSlash) return false;
      afterSlash = true;
    } else if (afterSlash) {
      if (code === 0x2e && endsSegment(path.charCodeAt(i + 1))) return false;
      afterSlash = false;
    }
  }
  return true;
}

/** Whether what follows the question mark at `from` has visible characters only, and no fragment. */
export function plainQuery(target: string, from: number): boolean {
  for (let i = from + 1; i < target.length; i += 1) {
    if (plainInQuery[target.charCodeAt(i)] !== 1) return false;
  }
  return true;
}

/**
 * The one form of a path that requests are matched and forwarded by, and that `paths` of routes are kept in: percent-encoded letters, digits
 * and `-._~` decoded, other percent-encodings in upper case, dot segments removed (RFC 3986, section 6.2.2), doubled slashes made one.
 * Refused is what readers take for different things: a backslash, a zero byte, and segments that are dot segments once an encoded slash
 * or backslash is decoded, or what follows a semicolon is cut off.
 */
export function normalisePath(path: string): string | Fault {
  if (path.charCodeAt(0) !== 0x2f) return { fault: 'the path does not start with /' };
  const decoded = decodeUnreserved(path);
  if (typeof decoded !== 'string') return decoded;
  const out: string[] = [];
  const segments = decoded.split('/');
  const last = segments.length - 1;
  let open = false;
  for (let i = 1; i <= last; i += 1) {
    const segment = segments[i]!;
    open = i === last && (segment === '' || segment === '.' || segment === '..');
    if (segment === '..') out.pop();
    else if (segment !== '' && segment !== '.') {
      if (hidesDotSegment(segment)) return { fault: 'the path has a dot segment that only some would see' };
      out.push(segment);
    }
  }
  const joined = `/${out.join('/')}`;
  return open && joined !== '/' ? `${joined}/` : joined;
}

function decodeUnreserved(path: string): string | Fault {
  let out = '';
  for (let i = 0; i < path.length; i += 1) {
    const character = path[i]!;
    if (character !== '%') {
      if (plainInPath[path.charCodeAt(i)] !== 1) return { fault: faultOf(character) };
      out += character;
      continue;
    }
    const digits = path.slice(i + 1, i + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) {
      return { fault: 'the path has a percent sign without two hexadecimal digits' };
    }
    const code = Number.parseInt(digits, 16);
    if (code === 0) return { fault: 'the path has a zero byte' };
    const meant = String.fromCharCode(code);
    out += unreserved.test(meant) ? meant : `%${digits.toUpperCase()}`;
    i += 2;
  }
  return out;
}

function faultOf(character: string): string {
  if (character === '\\') return 'the path has a backslash';
  if (character === '#') return 'the target has a fragment';
  return 'the path has a character that has to be percent-encoded';
}

/** Dot, slash and backslash in more bytes than UTF-8 allows: old readers decode them all the same. */
const overlong = /%C0%A[EF]|%C1%9C|%E0%80%A[EF]/;

/** `..%2Fx`, `..;x` and the like: for a reader that decodes or cuts first, there is a dot segment in it. */
function hidesDotSegment(segment: string): boolean {
  if (overlong.test(segment)) return true;
  if (!/%2F|%5C|;/.test(segment)) return false;
  return segment.split(/%2F|%5C/).some((part) => /^\.\.?(;|$)/.test(part));
}

/** Whether a dot before this one may be a segment of its own, or the first of two. */
function endsSegment(next: number): boolean {
  return Number.isNaN(next) || next === 0x2f || next === 0x2e || next === 0x3b;
}
