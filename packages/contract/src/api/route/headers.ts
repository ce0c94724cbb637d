import { z } from 'zod';
import { singleFields } from '../../shared/own-fields.ts';
import { FieldName, FieldValue } from './field-text.ts';

const most = 50;

/** Fields by their names, each once. */
export function fieldsOf<V extends z.ZodType>(value: V) {
  return z.record(FieldName, value).superRefine((fields, context) => {
    const names = Object.keys(fields);
    if (names.length > most) {
      context.addIssue({ code: 'custom', message: `has more than ${most} fields` });
    }
    const lower = names.map((name) => name.toLowerCase());
    const twice = names.find((_, i) => lower.indexOf(lower[i]!) !== i);
    if (twice === undefined) return;
    const message = 'stands there twice: upper and lower case are the same in the name of a field';
    context.addIssue({ code: 'custom', message, path: [twice] });
  });
}

/** Which upstream is asked for which host is said where the upstream is. */
function notHost(names: string[], context: z.RefinementCtx): void {
  const host = names.find((name) => name.toLowerCase() === 'host');
  if (host === undefined) return;
  context.addIssue({
    code: 'custom',
    message: 'has "host", which frames the request; leave it out',
    path: [],
  });
}

const values = z.union([FieldValue, z.array(FieldValue).min(1).max(20)]);
const setting = 'In the place of all values there were';
const addition = 'Beside the values there are';
const names = z.array(FieldName).max(most);

const forRequest = z
  .strictObject({
    set: fieldsOf(FieldValue).describe(setting).optional(),
    add: fieldsOf(values).describe(addition).optional(),
    remove: names.describe('Names').optional(),
  })
  .superRefine(({ set = {}, add = {}, remove = [] }, context) => {
    notHost([...Object.keys(set), ...Object.keys(add), ...remove], context);
  })
  .describe('Of what the upstream receives');

const forAnswer = z
  .strictObject({
    set: fieldsOf(FieldValue).describe(setting).optional(),
    add: fieldsOf(values)
      .superRefine((fields, context) => {
        for (const name of Object.keys(fields)) {
          if (!singleFields.includes(name.toLowerCase())) continue;
          context.addIssue({ code: 'custom', message: 'has one value: name it in set', path: [name] });
        }
      })
      .describe(addition)
      .optional(),
    remove: names.describe('Names').optional(),
  })
  .describe('Of every answer of the route, also those that Lockstep gives itself');

/** `remove` is done first, then `set`, then `add`. */
export const headers = z
  .strictObject({ request: forRequest.optional(), response: forAnswer.optional() })
  .meta({ id: 'RouteHeaders' });
