/** At its connection. */
const told = Symbol('client address');

interface Connection {
  remoteAddress?: string | undefined;
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
