import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import { clientKey, type EdgeOnDemand, hostOfAddress, normaliseHost } from '@lockstep/contract';
import { clientAddressOf, reachedAddressOf } from '../clients/client-address.ts';
import type { HeldHandshakes } from '../on-demand/held-handshakes.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { CertificateTable } from './certificate-table.ts';
import type { ChallengeTable } from './challenge-table.ts';
import { hostOf } from './server-name.ts';
import { noteAddress, noteAsked } from './shown-certificates.ts';
import type { StapleTable } from './staple-table.ts';

/** Alert `unrecognized_name`, fatal (RFC 8446, section 6; RFC 6066, section 3), as a plain record. */
const unrecognizedName = Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x70]);

/** RFC 8737, section 6.2. */
const acmeTls = 'acme-tls/1';
const httpProtocols = ['h2', 'http/1.1', 'http/1.0'];

export const handshakeTimeoutMs = 10_000;

/** Thrown into a handshake that was refused on purpose, and counted already. */
export const unknownNameCode = 'LOCKSTEP_UNKNOWN_NAME';

export interface HandshakesOptions {
  certificates: Pick<CertificateTable, 'find' | 'findAsking' | 'hostsOf'>;
  challenges: Pick<ChallengeTable, 'context'>;
  staples: Pick<StapleTable, 'find'>;
  routes: Pick<RouteTable, 'names' | 'askedOf'>;
  /** Null: names without a certificate are refused at once. */
  onDemand(): EdgeOnDemand | null;
  held: HeldHandshakes;
  /** The id of what the server shows whoever names no host; null for nothing. */
  unnamed(): string | null;
  /** `not_held`: an unknown name that might have been asked for, had there been room for it. */
  onRefused(reason: 'unknown_name' | 'not_held'): void;
}

type Callback = (error: Error | null, context?: SecureContext | undefined) => void;
type Handshaking = TLSSocket & { _parent?: Duplex };

/** What to show whom: the part of the TLS server's options and events that decides about a handshake. */
export interface Handshakes {
  SNICallback(this: Handshaking, name: string, callback: Callback): void;
  ALPNCallback(this: Handshaking, asked: { servername: string; protocols: string[] }): string | undefined;
  /** For the event `OCSPRequest`: staples without ever waiting (RFC 6066, section 8). */
  onOcspRequest(
    der: Buffer,
    issuer: Buffer,
    callback: (error: Error | null, response: Buffer | null) => void,
  ): void;
  /**
   * Whether requests are served on a connection. Not after a challenge (RFC 8737, section 3), nor on a session that was resumed, and
   * so passed by the choice of a certificate, when there is none for its host: removed meanwhile, or never more than a challenge's.
   * OpenSSL tells no name for a session of TLS 1.2 that was resumed; it ends by itself, after a day.
   */
  servesRequests(socket: TLSSocket): boolean;
}

export function createHandshakes(options: HandshakesOptions): Handshakes {
  const { certificates, challenges, staples, held } = options;
  const challenged = new WeakSet<TLSSocket>();

  function refuse(socket: Handshaking, reason: 'unknown_name' | 'not_held', callback: Callback): void {
    options.onRefused(reason);
    const error = Object.assign(new Error('unrecognized name'), { code: unknownNameCode });
    // Node has no call for this alert, and an error alone closes without one. Nothing has been sent yet, so a plain record on the
    // socket underneath is what the client reads first.
    const raw = socket._parent;
    if (raw === undefined) callback(error);
    else raw.write(unrecognizedName, () => callback(error));
  }

  function hold(socket: Handshaking, host: string, { holdMs }: EdgeOnDemand, callback: Callback): void {
    const free = held.hold({
      host,
      client: clientKey(clientAddressOf(socket)),
      holdMs,
      settle(context) {
        socket.off('close', onGone);
        // What is left of the handshake gets its usual time again.
        socket.setTimeout(handshakeTimeoutMs);
        if (context === null) refuse(socket, 'unknown_name', callback);
        else callback(null, context);
      },
    });
    const onGone = () => free?.();
    if (free === null) {
      refuse(socket, 'not_held', callback);
      return;
    }
    // Only a handshake that is held may take longer than others.
    socket.setTimeout(holdMs + handshakeTimeoutMs);
    socket.once('close', onGone);
  }

  /** Has the handshake ask the client for a certificate; what it shows is judged by the route of each request. */
  function askClient(socket: Handshaking, required: boolean): void {
    const { _handle } = socket as unknown as {
      _handle: { setVerifyMode(ask: boolean, need: boolean): void };
    };
    _handle.setVerifyMode(true, required);
  }

  /** The same, by the authorities that the routes of a host name. */
  function askingFor(socket: Handshaking, name: string, ca: string, required: boolean): SecureContext | null {
    askClient(socket, required);
    noteAsked(socket, ca);
    return certificates.findAsking(name, ca);
  }

  /** The host to ask about; null for a name that is nobody's to ask for. */
  function askable(name: string): string | null {
    if (isIP(name) !== 0 || !name.includes('.')) return null;
    try {
      // A name that is not written as hosts are would wait for a certificate that is never found by it.
      return normaliseHost(name) !== name || name.startsWith('*.') || options.routes.names(name)
        ? null
        : name;
    } catch {
      return null;
    }
  }

  /**
   * A client that comes by an address names no host (RFC 6066, section 3): it is shown the certificate of the address that it came to, where there is one. TLS
   * 1.2 has chosen before the protocol is asked for: it goes by what the server itself has. None has to show a certificate of its own for the handshake
   * to end well: a balancer that looks whether the edge is there comes so too.
   */
  function showByAddress(socket: Handshaking): void {
    const host = hostOfAddress(reachedAddressOf(socket).replace(/^::ffff:(?=\d+\.)/, ''));
    const context = host === null ? null : certificates.find(host);
    if (context === null || socket.getProtocol() !== 'TLSv1.3') {
      askUnnamed(socket);
      return;
    }
    noteAddress(socket, host!);
    const asked = options.routes.askedOf(host!);
    socket.setKeyCert((asked === null ? null : askingFor(socket, host!, asked.ca, false)) ?? context);
  }

  /** What the client shows is not compared with authorities within this handshake: it is when a route asks for it. */
  function askUnnamed(socket: Handshaking): void {
    const id = options.unnamed();
    const hosts = id === null ? [] : certificates.hostsOf(id);
    if (hosts.some((host) => options.routes.askedOf(host) !== null)) askClient(socket, false);
  }

  return {
    SNICallback(servername, callback) {
      const name = hostOf(servername);
      if (challenged.has(this)) {
        callback(null, challenges.context(name) ?? undefined);
        return;
      }
      const context = certificates.find(name);
      if (context !== null) {
        const asked = options.routes.askedOf(name);
        callback(
          null,
          asked === null ? context : (askingFor(this, name, asked.ca, asked.required) ?? undefined),
        );
        return;
      }
      // TLS 1.2 asks for the certificate before the protocol, and cannot do without one.
      const challenge = this.getProtocol() === 'TLSv1.3' ? null : challenges.context(name);
      if (challenge !== null) {
        challenged.add(this);
        callback(null, challenge);
        return;
      }
      const onDemand = options.onDemand();
      const host = onDemand === null ? null : askable(name);
      if (host === null) refuse(this, 'unknown_name', callback);
      else hold(this, host, onDemand!, callback);
    },
    ALPNCallback({ servername, protocols }) {
      if (protocols.length === 1 && protocols[0] === acmeTls) {
        const challenge = challenges.context(hostOf(servername || ''));
        if (challenge === null) return undefined;
        challenged.add(this);
        this.setKeyCert(challenge);
        return acmeTls;
      }
      if (challenged.has(this)) return undefined;
      if (!servername) showByAddress(this);
      return httpProtocols.find((protocol) => protocols.includes(protocol));
    },
    onOcspRequest(der, _issuer, callback) {
      callback(null, staples.find(der));
    },
    servesRequests(socket) {
      if (challenged.has(socket)) return false;
      const { servername } = socket as TLSSocket & { servername?: string | false | null };
      return !servername || !socket.isSessionReused() || certificates.find(hostOf(servername)) !== null;
    },
  };
}
