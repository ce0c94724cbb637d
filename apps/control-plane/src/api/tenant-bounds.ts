import { AppError } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isOwn } from '../auth/bounds.ts';
import { certificateNotFound } from '../certificates/certificate-service.ts';
import { isOwnCertificate } from '../certificates/own-certificates.ts';
import { routeNotFound } from '../routes/route-refusals.ts';
import { findRoute } from '../routes/unreadable-route.ts';
import { webhookNotFound } from '../webhooks/webhook-record.ts';
import { accessOf } from './request-origin.ts';

/**
 * How each operation that a tenant's token may call is held to what is the tenant's. `route`, `certificate`, `webhook`: the one in the address, as if
 * it were not there where it is another's. `list`: by its filter `tenant`. `service`: by whoever carries it out, who is told the bounds with
 * the origin of the change. `public`: it shows nothing that is anybody's. Others are refused: one that is new says here how.
 */
const boundBy: Record<string, 'route' | 'certificate' | 'webhook' | 'list' | 'service' | 'public'> = {
  createRoute: 'service',
  listRoutes: 'list',
  getRoute: 'route',
  putRoute: 'service',
  patchRoute: 'route',
  deleteRoute: 'service',
  checkRoute: 'route',
  addRouteHost: 'route',
  removeRouteHost: 'service',
  validateRoute: 'service',
  putRoutes: 'service',
  deleteRoutes: 'service',
  getDnsRequirements: 'service',
  getRouteTraffic: 'route',
  getRouteInstructions: 'route',
  listCertificates: 'list',
  bringCertificate: 'service',
  getCertificate: 'certificate',
  putCertificate: 'certificate',
  patchCertificate: 'certificate',
  deleteCertificate: 'service',
  renewCertificate: 'certificate',
  revokeCertificate: 'certificate',
  listAttempts: 'certificate',
  createToken: 'service',
  listTokens: 'service',
  getToken: 'service',
  revokeToken: 'service',
  listAudit: 'list',
  getEvents: 'service',
  createWebhook: 'service',
  listWebhooks: 'list',
  getWebhook: 'webhook',
  putWebhook: 'webhook',
  patchWebhook: 'webhook',
  deleteWebhook: 'service',
  rotateWebhookSecret: 'webhook',
  testWebhook: 'webhook',
  listWebhookDeliveries: 'webhook',
  redeliverWebhook: 'webhook',
  getRootCertificate: 'public',
};

/** As no tenant is called. */
const nobody = '';

/** Holds tokens of a tenant to what is the tenant's, at every address below this instance's prefix. */
export function boundTenants(app: FastifyInstance, store: ConfigStore): void {
  app.addHook('preHandler', async (request) => {
    const { tenant } = accessOf(request);
    if (tenant === null || request.is404) return;
    const operation = request.routeOptions.schema?.operationId ?? '';
    switch (boundBy[operation]) {
      case undefined:
        throw new AppError('forbidden', `${operation} is not for tokens of a tenant`);
      case 'list':
        return boundList(request, tenant);
      case 'route':
        return requireOwnRoute(idOf(request), tenant);
      case 'certificate':
        return requireOwnCertificate(idOf(request), tenant);
      case 'webhook':
        return requireOwnWebhook(idOf(request), tenant);
    }
  });

  /** What is missing takes as long as what is another's. */
  async function requireOwnRoute(id: string, tenant: string): Promise<void> {
    const found = await findRoute(store, id);
    if (found === null || !isOwn({ tenant, hostSuffixes: null }, found.value.tenant)) throw routeNotFound(id);
  }

  async function requireOwnCertificate(id: string, tenant: string): Promise<void> {
    if (!(await isOwnCertificate(store, { tenant, hostSuffixes: null }, id))) throw certificateNotFound(id);
  }

  async function requireOwnWebhook(id: string, tenant: string): Promise<void> {
    const found = await store.get('webhook', id);
    if (found === null || found.value.tenant !== tenant) throw webhookNotFound(id);
  }
}

/** Of whoever asks for another tenant's there is nothing. */
function boundList({ query }: FastifyRequest, tenant: string): void {
  const asked = query as { tenant?: string };
  asked.tenant = (asked.tenant ?? tenant) === tenant ? tenant : nobody;
}

function idOf({ params }: FastifyRequest): string {
  return (params as { id: string }).id;
}
