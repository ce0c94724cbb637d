export * from './config-store.ts';
