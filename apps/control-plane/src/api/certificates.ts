import { AppError, Certificate, PageQuery, Problem, pageOf } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { z } from 'zod';
import type { RouteView } from '../routes/route-view.ts';
import type { ApiInstance } from './server.ts';

const CertificatePage = pageOf(Certificate, 'CertificatePage');

export interface CertificatesApiOptions {
  store: ConfigStore;
  view: RouteView;
}

export function certificatesApi(app: ApiInstance, { store, view }: CertificatesApiOptions): void {
  app.get('/certificates', {
    schema: {
      operationId: 'listCertificates',
      summary: 'List certificates by id',
      tags: ['certificates'],
      querystring: PageQuery,
      response: { 200: CertificatePage, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const page = await store.list('order', request.query);
      return { items: await view.certificates(page.items), next: page.next };
    },
  });

  app.get('/certificates/:id', {
    schema: {
      operationId: 'getCertificate',
      summary: 'Get a certificate and how far it is',
      tags: ['certificates'],
      params: z.object({ id: z.string().max(300) }),
      response: { 200: Certificate, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const { id } = request.params;
      const order = await store.get('order', id);
      const [certificate] = order === null ? [] : await view.certificates([order]);
      if (certificate === undefined) throw new AppError('not_found', `there is no certificate "${id}"`);
      return certificate;
    },
  });
}
