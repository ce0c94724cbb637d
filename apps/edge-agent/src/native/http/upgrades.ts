import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { constants } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import type { ClientStream } from '../../server/client-stream.ts';
import { upgradeOf } from '../../server/http1-connections.ts';
import { linger } from '../../server/linger.ts';
import type { Upgrade } from './exchange.ts';
import type { ExchangeWatch } from './exchange-watch.ts';
import type { ReadRequest } from './read-request.ts';
import { tunnel } from './tunnel.ts';

const http = process.getBuiltinModule('node:http');

type Scheme = ReadRequest['scheme'];

export interface UpgradesOptions {
  forward(request: ClientRequest, response: ClientResponse, scheme: Scheme, upgrade: Upgrade): ExchangeWatch;
  /** The exchange is over as the upstream agreed. */
  onDone(watch: ExchangeWatch, statusCode: number): void;
}

/** Clients that want to switch to another protocol, and the tunnels to upstreams that agreed. */
export interface Upgrades {
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer, scheme?: Scheme): void;
  /** A websocket over HTTP/2. */
  connectWebsocket(client: ClientStream): void;
  readonly tunnels: number;
  closeTunnels(): void;
}

export function createUpgrades({ forward, onDone }: UpgradesOptions): Upgrades {
  const tunnels = new Set<Duplex>();

  function upgrade(request: IncomingMessage, socket: Socket, head: Buffer, scheme: Scheme = 'https'): void {
    socket.on('error', () => socket.destroy());
    if (head.length > 0) socket.unshift(head);
    // Stands in until the upstream has agreed: whatever else it says is an ordinary answer.
    const response = new http.ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    const onDrain = () => response.emit('drain');
    socket.on('drain', onDrain);
    // What Node does for answers on connections of its own.
    response.on('finish', () => {
      socket.off('drain', onDrain);
      response.detachSocket(socket);
      process.nextTick(() => response.emit('close'));
      linger(socket);
    });
    const onAgreed: Upgrade['onAgreed'] = (fields, protocol, upstream) => {
      socket.off('drain', onDrain);
      response.detachSocket(socket);
      onDone(watch, 101);
      tunnels.add(socket);
      let text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
      for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
      socket.write(`${text}\r\n`, 'latin1');
      tunnel(socket, upstream, () => tunnels.delete(socket));
    };
    const watch = forward(request, response, scheme, { protocols: upgradeOf(request)!, onAgreed });
  }

  function connectWebsocket(client: ClientStream): void {
    const { stream } = client;
    // The key shows an upstream of HTTP/1.1 that it is spoken to by a client of websockets; HTTP/2 has none.
    client.rawHeaders.push('sec-websocket-key', randomBytes(16).toString('base64'));
    const onAgreed: Upgrade['onAgreed'] = (fields, _protocol, upstream) => {
      onDone(watch, 200);
      if (client.destroyed) {
        upstream.destroy();
        return;
      }
      tunnels.add(stream);
      // As if a trailer could come: without, Node ends a stream that is closed before it resets it.
      client.sendHead(200, withoutKey(fields), false, true);
      // As a connection that is reset (RFC 8441, section 5).
      const reset = () => {
        if (!upstream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
      };
      upstream.on('error', reset);
      upstream.on('close', reset);
      // Node ends both sides of a stream that was reset as if they had come to their ends.
      stream.on('close', () => {
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) upstream.destroy();
      });
      tunnel(stream, upstream, () => tunnels.delete(stream));
    };
    const watch = forward(client, client, 'https', { protocols: 'websocket', onAgreed });
  }

  return {
    upgrade,
    connectWebsocket,
    get tunnels() {
      return tunnels.size;
    },
    closeTunnels() {
      for (const socket of tunnels) socket.destroy();
    },
  };
}

/** What only a handshake over HTTP/1.1 has. */
const keyField = 'sec-websocket-accept';

function withoutKey(fields: readonly string[]): string[] {
  const left: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.toLowerCase() !== keyField) left.push(fields[i]!, fields[i + 1]!);
  }
  return left;
}
