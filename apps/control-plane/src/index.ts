export * from './control-plane.ts';
export * from './startup/config.ts';
