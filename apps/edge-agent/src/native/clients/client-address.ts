/** At its connection. */
const told = Symbol('client address');
const reached = Symbol('address that the client came to');

interface Connection {
  remoteAddress?: string | undefined;
  localAddress?: string | undefined;
  _parent?: object | undefined;
  /** What Node keeps of the other end once it has asked the system. */
  _peername?: object;
}

/** Has a connection be another client's than the one that made it, for whoever asks it for its `remoteAddress`. */
export function setClientAddress(socket: Connection, address: string): void {
  Object.assign(socket, { [told]: address });
  Object.defineProperty(socket, 'remoteAddress', { value: address, configurable: true });
}

/** Of a connection whose TLS is under way: the address is known to the one below it alone. */
export function clientAddressOf(socket: Connection): string {
  return toldOf(socket._parent) ?? socket.remoteAddress ?? '';
}

/** Has a connection be one that was made to another address than its own, to a balancer's. */
export function setReachedAddress(socket: Connection, address: string): void {
  Object.assign(socket, { [reached]: address });
}

/** The address that the client of a connection whose TLS is under way came to. */
export function reachedAddressOf(socket: Connection): string {
  const below = socket._parent as { [reached]?: string } | undefined;
  return below?.[reached] ?? socket.localAddress ?? '';
}

/** TLS is through: its connection is the same client's as the one below. */
export function takeClientAddress(socket: Connection): void {
  const below = socket._parent as (Connection & { [told]?: string }) | undefined;
  if (below?._peername !== undefined) socket._peername = below._peername;
  const address = toldOf(below);
  if (address !== undefined) setClientAddress(socket, address);
}

function toldOf(parent: { [told]?: string } | undefined): string | undefined {
  return parent?.[told];
}
