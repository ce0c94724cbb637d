import { EventEmitter } from 'node:events';

/** Both ends of an IPC channel within one process; each message takes a turn. */
export function createChannel() {
  const parent = new EventEmitter();
  const child = new EventEmitter();
  const end = (from: EventEmitter, to: EventEmitter) =>
    Object.assign(from, {
      connected: true,
      send: (message: object) => setImmediate(() => to.emit('message', message)) !== undefined,
    });
  return { parent: end(parent, child), child: end(child, parent) };
}
