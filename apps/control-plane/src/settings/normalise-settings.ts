import {
  type EdgeTls,
  isAppError,
  normaliseHost,
  normaliseRange,
  type PutSettings,
  strayBits,
} from '@lockstep/contract';
import { invalidField } from '../validation/invalid-field.ts';

/** The settings as they are stored: names in lower case, nothing twice. Throws `invalid_request`. */
export function normaliseSettings(body: PutSettings): PutSettings {
  const { issuers, edgeAddresses, onDemand, edge } = body;
  if (onDemand !== null) checkAsk(onDemand.ask);
  return {
    ...body,
    ...(issuers === undefined ? {} : { issuers: [...new Set(issuers)] }),
    edge: {
      ...edge,
      trustedProxies: ranges(edge.trustedProxies),
      tls: normaliseTls(edge.tls),
      proxyProtocolFrom: ranges(edge.proxyProtocolFrom),
    },
    edgeAddresses: [...new Set(edgeAddresses.map(normaliseAddress))],
  };
}

function normaliseTls({ minVersion, ...rest }: EdgeTls): EdgeTls {
  return minVersion === undefined
    ? rest
    : { ...rest, minVersion: minVersion.endsWith('1.3') ? '1.3' : '1.2' };
}

/** Each in its one form, once. */
function ranges(given: readonly string[]): string[] {
  return [...new Set(given.map((one) => normaliseRange(one) ?? one))];
}

function normaliseAddress(input: string, index: number): string {
  const pointer = `/edgeAddresses/${index}`;
  const range = normaliseRange(input);
  const stray = strayBits(input);
  if (stray !== null) throw invalidField(pointer, stray);
  if (range !== null) return range;
  try {
    const name = normaliseHost(input);
    if (!name.startsWith('*.')) return name;
  } catch (error) {
    if (!isAppError(error)) throw error;
  }
  throw invalidField(
    pointer,
    `"${input}" is neither an IP address, nor a range of them, nor a host name, such as 203.0.113.7, 2001:db8::/48 or edge.example.net`,
  );
}

function checkAsk(ask: string): void {
  const url = new URL(ask);
  const fault = (detail: string) => invalidField('/onDemand/ask', detail);
  if (url.username !== '' || url.password !== '')
    throw fault('carries a user or password; protect it by its network');
  if (url.hash !== '') throw fault('has a fragment, which is never sent');
  if (url.searchParams.has('domain'))
    throw fault('has `domain` in its query already, which each question sets');
}
