import type { RouteRecord } from '@lockstep/contract';
import type { AnswerRule } from './rule.ts';

const field = 'strict-transport-security';

/** `hsts` of a route. */
export function compileHsts({ hsts }: RouteRecord): AnswerRule | null {
  if (hsts === undefined) return null;
  const { maxAge, includeSubDomains, preload } = hsts;
  const subDomains = includeSubDomains === true ? '; includeSubDomains' : '';
  const value = `max-age=${maxAge}${subDomains}${preload === true ? '; preload' : ''}`;
  return {
    change(fields, { scheme }, overHttp2) {
      // RFC 6797, section 7.2: over http it says nothing, for anybody could say it there.
      if (scheme !== 'https') return fields;
      const out: string[] = [];
      for (let i = 0; i < fields.length; i += 2) {
        // One alone counts (section 8.1), and the operator's word goes before the upstream's.
        if (fields[i]!.length !== field.length || fields[i]!.toLowerCase() !== field)
          out.push(fields[i]!, fields[i + 1]!);
      }
      out.push(overHttp2 ? field : 'Strict-Transport-Security', value);
      return out;
    },
  };
}
