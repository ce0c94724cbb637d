// Loads zod: what an edge's processes and `lockstep --help` import is in index.ts.
import './field-words.ts';

export * from './attempt.ts';
export * from './certificate.ts';
export * from './challenge.ts';
export * from './dns-provider.ts';
export * from './edge-settings.ts';
export * from './fleet.ts';
export * from './health.ts';
export * from './issuer.ts';
export * from './node.ts';
export * from './order.ts';
export * from './page.ts';
export * from './problem.ts';
export * from './renewal-reason.ts';
export * from './revision-schema.ts';
export * from './route.ts';
export * from './settings.ts';
export * from './upstream.ts';
