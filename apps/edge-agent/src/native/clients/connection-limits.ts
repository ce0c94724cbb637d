import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { clientKey, type EdgeSettings } from '@lockstep/contract';

/** Descriptors that are no connection: files, pipes, listeners, what is being opened. */
const otherDescriptors = 64;

export type ConnectionRefusal = 'too_many_connections' | 'too_many_of_client' | 'client_rests';

export interface ConnectionLimitsOptions {
  limits(): EdgeSettings['limits'];
  /** Whether a client, by its key, gets none for now. */
  rests?: (client: string) => boolean;
  onRefused(reason: ConnectionRefusal): void;
  /** How many descriptors this process may have. Default: what the system says. */
  maxDescriptors?: number;
}

/** What a worker has of connections from clients, over all its listeners. */
export interface ConnectionLimits {
  /** Counts a connection that was just accepted until it closes; false: it is one too many, and was ended. */
  admit(socket: Socket): boolean;
}

export function createConnectionLimits(options: ConnectionLimitsOptions): ConnectionLimits {
  const { maxDescriptors = softLimit(), rests } = options;
  // Each may need one more to an upstream. Beyond its descriptors the system would take connections and end them, without a word to anybody.
  const mostPossible = Math.max(8, Math.floor((maxDescriptors - otherDescriptors) / 2));
  const perClient = new Map<string, number>();
  let count = 0;

  return {
    admit(socket) {
      const { connections, connectionsPerClient } = options.limits();
      const client = clientKey(socket.remoteAddress ?? '');
      if (rests?.(client)) {
        options.onRefused('client_rests');
        socket.destroy();
        return false;
      }
      const ofClient = perClient.get(client) ?? 0;
      const full = count >= Math.min(connections, mostPossible);
      if (full || ofClient >= connectionsPerClient) {
        options.onRefused(full ? 'too_many_connections' : 'too_many_of_client');
        socket.destroy();
        return false;
      }
      count += 1;
      perClient.set(client, ofClient + 1);
      socket.once('close', () => {
        count -= 1;
        const left = perClient.get(client)! - 1;
        if (left === 0) perClient.delete(client);
        else perClient.set(client, left);
      });
      return true;
    },
  };
}

function softLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY; // not Linux
  }
}
