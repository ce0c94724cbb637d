import { AuditEntry, AuditQuery, Problem, pageOf } from '@lockstep/contract/schemas';
import type { Audit } from '../changes/audit.ts';
import type { ApiInstance } from './api-instance.ts';
import { needs } from './needs.ts';
import { accessOf } from './request-origin.ts';

const AuditPage = pageOf(AuditEntry, 'AuditPage');

export interface AuditApiOptions {
  audit: Audit;
}

export function auditApi(app: ApiInstance, { audit }: AuditApiOptions): void {
  app.get('/audit', {
    schema: {
      operationId: 'listAudit',
      security: needs('audit:read'),
      summary: 'List who changed what, the latest first, and what it was before',
      description:
        'One entry for each record that a commit changed, as long as the setting `journal` keeps it, without what is secret. With a filter a page may be short, or empty: go on until `next` is null.',
      tags: ['audit'],
      querystring: AuditQuery,
      response: { 200: AuditPage, '4xx': Problem, '5xx': Problem },
    },
    handler: async (request) => audit.page(request.query, accessOf(request).tenant),
  });
}
