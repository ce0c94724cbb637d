export * from './clock.ts';
export * from './dealing-proxy.ts';
export * from './debian-package.ts';
export * from './free-port.ts';
export * from './http-upstream.ts';
export * from './pebble.ts';
export * from './redis-server.ts';
export * from './wait-for.ts';
