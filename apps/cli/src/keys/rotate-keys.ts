import { setTimeout as pause } from 'node:timers/promises';
import { AppError, type ErrorCode, type FleetKeysStatus } from '@lockstep/contract';

const lookIntervalMs = 500;

export interface RotateKeysOptions {
  apiUrl: string;
  token: string;
  print: (line: string) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Has the fleet seal with the new key, and resolves when nothing is sealed with an older one. The control planes go on by themselves where
 * this is broken off. Throws what the API answers, `wrong_state` where somebody lacks the new key.
 */
export async function rotateKeys(options: RotateKeysOptions): Promise<void> {
  const { print, signal } = options;
  let keys = await ask<FleetKeysStatus>(options, 'POST', '/v1/keys/rotate');
  const before = keys.secret.older.map(({ id }) => id);
  for (let said = ''; ; await pause(lookIntervalMs, undefined, { signal })) {
    const now = await fleetKeys(options);
    // Behind one address there may be several control planes, of which one has not heard of the rotation yet.
    if (!before.includes(now.secret.current)) keys = now;
    const { secret, edge } = keys;
    const older = [...secret.older, ...edge.older];
    if (older.length === 0) {
      print(`everything is sealed with the key ${secret.current}, and the edge key ${edge.current}`);
      return;
    }
    const left = older.map(({ id, left }) => `${left ?? 'an unknown number'} with ${id}`).join(', ');
    if (left !== said) print(`still sealed: ${left}`);
    said = left;
  }
}

/** How the keys stand. */
export async function fleetKeys(options: RotateKeysOptions): Promise<FleetKeysStatus> {
  return (await ask<{ keys: FleetKeysStatus }>(options, 'GET', '/v1/fleet')).keys;
}

async function ask<T>(
  { apiUrl, token, signal }: RotateKeysOptions,
  method: string,
  path: string,
): Promise<T> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(apiUrl + path, { method, headers, signal: signal ?? null }).catch((cause) => {
    if (signal?.aborted) throw cause;
    const detail = `the API at ${apiUrl} does not answer; name another control plane with --api`;
    throw new AppError('store_unavailable', detail, { cause });
  });
  const body = (await response.json().catch(() => ({}))) as { code?: ErrorCode; detail?: string };
  if (response.ok) return body as T;
  throw new AppError(body.code ?? 'internal', body.detail ?? `the API answered ${response.status}`);
}
