import type { Socket } from 'node:net';
import { type AddressRanges, createAddressRanges, type EdgeSettings } from '@lockstep/contract';
import { setClientAddress, setReachedAddress } from './client-address.ts';
import { readProxyHeader } from './proxy-header.ts';

export interface ProxiedConnectionsOptions {
  settings(): EdgeSettings;
  onCut(reason: 'proxy_header'): void;
}

/** Connections that a balancer makes in the name of its clients (PROXY protocol), and says so before their first byte. */
export interface ProxiedConnections {
  /** The settings changed. */
  refresh(): void;
  /**
   * Calls `accept` with the connection: at once, or when it is known whose it is. Whoever may send a header need not: its health checks and
   * what does not come through it do without.
   */
  whenKnown(socket: Socket, accept: (socket: Socket) => void): void;
}

export function createProxiedConnections({ settings, onCut }: ProxiedConnectionsOptions): ProxiedConnections {
  let from: AddressRanges | null = null;
  let listed: readonly string[] | null = null;
  let waiting = 0;

  function read(socket: Socket, accept: (socket: Socket) => void): void {
    const { limits, timeouts } = settings();
    if (waiting >= limits.connections) {
      socket.destroy();
      return;
    }
    waiting += 1;
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(cut, timeouts.headMs);
    socket.on('readable', look);
    socket.on('error', onEnd);
    socket.on('close', onEnd);
    socket.on('end', onEnd);

    function look(): void {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const header = readProxyHeader(received);
      if (header === 'more') return;
      if (header === 'bad') {
        cut();
        return;
      }
      stop();
      if (header !== 'none') {
        received = received.subarray(header.bytes);
        if (header.client !== null) setClientAddress(socket, header.client);
        if (header.reached !== null) setReachedAddress(socket, header.reached);
      }
      // Whoever takes the connection over takes what was read of it first.
      if (received.length > 0) socket.unshift(received);
      accept(socket);
    }

    function stop(): void {
      waiting -= 1;
      clearTimeout(timer);
      socket.off('readable', look).off('error', onEnd).off('close', onEnd).off('end', onEnd);
    }

    function onEnd(): void {
      stop();
      socket.on('error', () => {});
      socket.destroy();
    }

    function cut(): void {
      onCut('proxy_header');
      onEnd();
    }
  }

  function refresh(): void {
    const { proxyProtocolFrom = [] } = settings();
    if (proxyProtocolFrom === listed) return;
    listed = proxyProtocolFrom;
    from = listed.length === 0 ? null : createAddressRanges(listed);
  }
  refresh();

  return {
    refresh,
    whenKnown(socket, accept) {
      if (from?.has(socket.remoteAddress ?? '')) read(socket, accept);
      else accept(socket);
    },
  };
}
