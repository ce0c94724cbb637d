import { fieldsAt, isFields, listAt, textsAt } from './read-json.ts';

/** The hosts that what stands at a place is for, by the nearest matcher above it; null where none names any. */
export function hostsOnTheWay(config: unknown, at: string): string[] | null {
  let nearest: string[] | null = null;
  let value = config;
  for (const segment of at.split('.')) {
    if (Array.isArray(value)) value = value[Number(segment)];
    else if (isFields(value) && Object.hasOwn(value, segment)) value = value[segment];
    else break;
    nearest = hostsOf(value) ?? nearest;
  }
  return nearest;
}

/** Of a route, a connection policy or an automation policy. */
function hostsOf(value: unknown): string[] | null {
  const { match, subjects } = fieldsAt(value);
  const named = [...listAt(match).map((set) => fieldsAt(set).host), fieldsAt(match).sni, subjects];
  const hosts = named.flatMap((one) => textsAt(one) ?? []);
  return hosts.length === 0 ? null : [...new Set(hosts)];
}
