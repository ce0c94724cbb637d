export * from './debian-package.ts';
export * from './free-port.ts';
export * from './redis-server.ts';
export * from './wait-for.ts';
