import { isUtf8 } from 'node:buffer';
import { AppError } from '@lockstep/contract';
import type { FastifyRequest } from 'fastify';
import { invalidField, pointerPart } from '../validation/invalid-field.ts';
import { repeatedField } from './repeated-field.ts';

/** RFC 7396 */
export const mergePatchType = 'application/merge-patch+json';
/** No schema of this API is as deep; what walks through a body may recurse. */
const deepest = 32;

/**
 * The body of a request as JSON (RFC 8259). Undefined where it is empty, whatever type was announced for it, and where the address takes
 * none. Throws `invalid_request` and `unsupported_media_type`.
 */
export function readJsonBody(request: FastifyRequest, body: Buffer): unknown {
  if (body.length === 0 || request.routeOptions.schema?.body === undefined) return undefined;
  checkType(request);
  if (!isUtf8(body)) throw invalidField('', 'is not UTF-8, as JSON has to be');
  return parseJson(body.toString('utf8').replace(/^\uFEFF/, ''));
}

/** Throws `invalid_request` for what is no JSON, or cannot be kept; `levels`: how deep it may be. */
export function parseJson(text: string, levels = deepest): unknown {
  const input = parse(text);
  checkValues(input, levels);
  const repeated = repeatedField(text);
  if (repeated !== null) throw invalidField(repeated, 'is there twice');
  return input;
}

/** Throws `unsupported_media_type` for a body that is compressed. */
export function refuseCoding({ headers }: Pick<FastifyRequest, 'headers'>): void {
  const coding = headers['content-encoding']?.trim();
  if (coding && coding.toLowerCase() !== 'identity')
    throw new AppError('unsupported_media_type', `send the body without content coding, not as ${coding}`);
}

function checkType(request: FastifyRequest): void {
  refuseCoding(request);
  const { method, headers } = request;
  const [type = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const takesPatches = method === 'PATCH';
  const known = type.trim() === 'application/json' || (takesPatches && type.trim() === mergePatchType);
  if (!known) {
    const also = takesPatches
      ? ` or ${mergePatchType}`
      : type.trim() === mergePatchType
        ? '; merge patches are for PATCH'
        : '';
    throw new AppError('unsupported_media_type', `send the body as application/json${also}`);
  }
  for (const parameter of parameters) {
    const [name, value = ''] = parameter.split('=').map((part) => part.trim().replace(/^"(.*)"$/, '$1'));
    if (name === 'charset' && value !== 'utf-8' && value !== 'utf8')
      throw new AppError('unsupported_media_type', `send the body in UTF-8, not in "${value}"`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The rest of the message quotes the body, which may hold a secret.
    const [where = ''] = / at position \d+( \(line \d+ column \d+\))?/.exec((error as Error).message) ?? [];
    throw invalidField('', `is not JSON${where}`);
  }
}

/** Throws for what JSON can carry and nothing behind this can keep: loops over the input, since recursion is what depth would break. */
function checkValues(input: unknown, levels: number): void {
  const open: { value: unknown; pointer: string; depth: number }[] = [
    { value: input, pointer: '', depth: 0 },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, pointer, depth } = next;
    if (typeof value === 'string') checkText(value, pointer);
    if (typeof value !== 'object' || value === null) continue;
    if (depth === levels) throw invalidField('', `is nested deeper than ${levels} levels`);
    for (const [key, inner] of Object.entries(value)) {
      checkText(key, pointer);
      // Assigned to an object, it would change what the object is rather than what it has.
      if (key === '__proto__') throw invalidField(`${pointer}/__proto__`, 'there is no such field');
      open.push({ value: inner, pointer: pointer + pointerPart(key), depth: depth + 1 });
    }
  }
}

function checkText(text: string, pointer: string): void {
  if (text.includes('\0')) throw invalidField(pointer, 'has a NUL character');
  if (!text.isWellFormed())
    throw invalidField(pointer, 'has half of a surrogate pair, which is no character');
}

/** The body of a PUT in which null stands for left out: answers show null for what is not set, and are put back changed. */
export function nullsLeftOut(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input;
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
}

/** The body without what answers show beside what bodies take: what GET shows can be put back as it is. */
export function withoutShown(input: unknown, names: readonly string[]): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input;
  return Object.fromEntries(Object.entries(input).filter(([name]) => !names.includes(name)));
}
