import { isFields } from '../shared/fields.ts';

/** The names of all fields of a value, as deep as they go; `true` where there are none, or any. */
export type Shape<T> = [Extract<T, object>] extends [never] ? true : ObjectShape<Extract<T, object>>;
type ObjectShape<T> = T extends readonly (infer E)[]
  ? Shape<NonNullable<E>>
  : string extends keyof T
    ? true
    : { [F in KeysOf<T>]-?: Shape<NonNullable<T extends { [K in F]?: infer V } ? V : never>> };
type KeysOf<T> = T extends T ? keyof T & string : never;

interface AnyShape {
  readonly [field: string]: true | AnyShape;
}

/** The first field of a value that its shape does not know, as `health.active.path`; null when it knows all. */
export function unknownField(value: unknown, shape: true | AnyShape): string | null {
  if (shape === true) return null;
  if (Array.isArray(value)) {
    for (const one of value) {
      const unknown = unknownField(one, shape);
      if (unknown !== null) return unknown;
    }
    return null;
  }
  if (!isFields(value)) return null;
  for (const [field, inner] of Object.entries(value)) {
    if (!Object.hasOwn(shape, field)) return field;
    const unknown = unknownField(inner, shape[field]!);
    if (unknown !== null) return `${field}.${unknown}`;
  }
  return null;
}
