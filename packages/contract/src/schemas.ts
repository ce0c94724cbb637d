// Loads zod: what an edge's processes and `lockstep --help` import is in index.ts.
import './shared/field-words.ts';

export * from './api/attempt.ts';
export * from './api/certificate.ts';
export * from './api/challenge.ts';
export * from './api/dns-provider.ts';
export * from './api/edge-settings.ts';
export * from './api/fleet.ts';
export * from './api/health.ts';
export * from './api/issuer.ts';
export * from './api/labels.ts';
export * from './api/node.ts';
export * from './api/page.ts';
export * from './api/problem.ts';
export * from './api/renewal-reason.ts';
export { RouteBalance } from './api/route/balance.ts';
export { routeDefaults } from './api/route/defaults.ts';
export { RouteHealth } from './api/route/health.ts';
export { Host } from './api/route/hosts.ts';
export { PathPrefix } from './api/route/paths.ts';
export { RouteRetries } from './api/route/retries.ts';
export * from './api/route.ts';
export * from './api/settings.ts';
export * from './api/traffic.ts';
export * from './api/upstream.ts';
export * from './edge/node-report.ts';
export * from './edge/upstream-state.ts';
export * from './shared/revision-schema.ts';
