export type { Api, ApiOptions } from './api.ts';
export type { components, operations, paths } from './api-types.ts';
export type { CallOptions } from './call-options.ts';
export type { Certificate, CertificateFilter } from './certificates.ts';
export { type Client, createClient } from './client.ts';
export type { Event, EventFilter, EventGap } from './events.ts';
export type { FleetStatus, Node, Settings } from './fleet.ts';
export type { Issuer } from './issuers.ts';
export { LockstepError } from './lockstep-error.ts';
export type {
  ChangeOptions,
  CreateOptions,
  Route,
  RouteFilter,
  RouteInput,
  RoutePatch,
  WriteOptions,
} from './routes.ts';
export type { Token } from './tokens.ts';
export { verifyWebhook, type WebhookMessage } from './verify-webhook.ts';
export type { Webhook } from './webhooks.ts';
