import {
  Attempts,
  BringCertificate,
  Certificate,
  CertificatesQuery,
  DeleteQuery,
  PatchCertificate,
  Problem,
  PutCertificate,
  pageOf,
  RevokeCertificate,
} from '@lockstep/contract/schemas';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { boundsOf } from '../auth/bounds.ts';
import type { CertificateService } from '../certificates/certificate-service.ts';
import type { CertificateView } from '../certificates/certificate-view.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { once, onwards } from './idempotent.ts';
import { mergePatchType, nullsLeftOut, withoutShown } from './json-body.ts';
import { missingOk } from './missing-ok.ts';
import { movingOfCertificate } from './moving-parts.ts';
import { needs } from './needs.ts';
import { accessOf, originOf } from './request-origin.ts';

const CertificatePage = pageOf(Certificate, 'CertificatePage');
const params = z.object({ id: z.string().max(300) });
const problems = { '4xx': Problem, '5xx': Problem };
const tags = ['certificates'];
const config = { conditional: true } as const;
/** What answers have beside what bodies take. */
export const shownOfCertificates = Object.keys(Certificate.shape).filter(
  (name) => !(name in PutCertificate.shape),
);
const putBody = z.preprocess(
  (given) => nullsLeftOut(withoutShown(given, shownOfCertificates)),
  PutCertificate,
);
/** No body at all: for no stated reason. */
const revokeBody = z.preprocess((input) => input ?? {}, RevokeCertificate);

export interface CertificatesApiOptions {
  service: CertificateService;
  view: CertificateView;
}

export function certificatesApi(app: ApiInstance, { service, view }: CertificatesApiOptions): void {
  async function answer(request: FastifyRequest, reply: FastifyReply, id: string): Promise<Certificate> {
    const certificate = await view.get(id);
    tag(request, reply, certificate.revision, movingOfCertificate(certificate));
    return certificate;
  }

  app.get('/certificates', {
    schema: {
      operationId: 'listCertificates',
      security: needs('certificates:read'),
      summary: 'List certificates by id, managed and brought ones, and those not issued yet',
      description: 'With `failing=true` a page may be short, or empty: go on until `next` is null.',
      tags,
      querystring: CertificatesQuery,
      response: { 200: CertificatePage, ...problems },
    },
    async handler(request) {
      const { failing, tenant, ...page } = request.query;
      return failing === undefined ? view.list(page, tenant) : view.listFailing(page, tenant);
    },
  });

  app.post('/certificates', {
    config,
    schema: {
      operationId: 'bringCertificate',
      security: needs('certificates:write'),
      summary: 'Bring a certificate from elsewhere, to be served for every name in it',
      description:
        '201; 200 when it had been brought before. With `issuer` it is the managed certificate of each of its hosts from then on, and no CA is asked before its renewal is due; where the managed one lasts as long, that one stays (200).',
      tags,
      body: BringCertificate,
      response: { 200: Certificate, 201: Certificate, ...problems },
    },
    async handler(request, reply) {
      // For each host of a managed one there is a commit, of which a control plane may have made the first alone.
      const bring = request.body.issuer === undefined ? once : onwards;
      const { id, made } = await bring(request, { id: '', made: false }, (told) =>
        service.bring(originOf(request), request.body, told),
      );
      if (made) reply.header('location', `/v1/certificates/${id}`);
      return reply.code(made ? 201 : 200).send(await answer(request, reply, id));
    },
  });

  app.get('/certificates/:id', {
    config,
    schema: {
      operationId: 'getCertificate',
      security: needs('certificates:read'),
      summary: 'Get a certificate and how far it is',
      description: 'The id of a managed one is its host.',
      tags,
      params,
      response: { 200: Certificate, ...problems },
    },
    handler: async (request, reply) => answer(request, reply, request.params.id),
  });

  app.put('/certificates/:id', {
    config,
    schema: {
      operationId: 'putCertificate',
      security: needs('certificates:write'),
      summary: 'Replace whose a brought certificate is, and what is kept beside it',
      description:
        'What GET shows can be put back: chain and names stay, whatever stands there. 409 `wrong_state` for a managed one.',
      tags,
      params,
      body: putBody,
      response: { 200: Certificate, ...problems },
    },
    async handler(request, reply) {
      await service.put(originOf(request), request.params.id, request.body);
      return answer(request, reply, request.params.id);
    },
  });

  app.patch('/certificates/:id', {
    config,
    schema: {
      operationId: 'patchCertificate',
      security: needs('certificates:write'),
      summary: 'Change whose a brought certificate is, or what is kept beside it (RFC 7396)',
      description:
        'It is served on as it is. 409 `wrong_state` for a managed one: there it is what its routes say.',
      tags,
      consumes: ['application/json', mergePatchType],
      params,
      body: PatchCertificate,
      response: { 200: Certificate, ...problems },
    },
    async handler(request, reply) {
      await service.patch(originOf(request), request.params.id, request.body);
      return answer(request, reply, request.params.id);
    },
  });

  app.delete('/certificates/:id', {
    config,
    schema: {
      operationId: 'deleteCertificate',
      security: needs('certificates:write'),
      summary: 'Delete a brought certificate, or a managed one whose host no route names',
      description:
        '409 `in_use` while a route names the host of a managed one, or shows the certificate to its upstreams.',
      tags,
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('The certificate is gone, or about to go'), ...problems },
    },
    async handler(request, reply) {
      await missingOk(request.query, service.remove(originOf(request), request.params.id));
      return reply.code(204).send(null);
    },
  });

  app.post('/certificates/:id/renew', {
    config,
    schema: {
      operationId: 'renewCertificate',
      security: needs('certificates:write'),
      summary: 'Obtain a managed certificate anew at once; the old one serves until then',
      description: '409 `wrong_state` for a brought one. `renewal` tells of it until it has come.',
      tags,
      params,
      response: { 202: Certificate, ...problems },
    },
    async handler(request, reply) {
      await once(request, {}, () => service.renew(originOf(request), request.params.id));
      return reply.code(202).send(await answer(request, reply, request.params.id));
    },
  });

  app.post('/certificates/:id/revoke', {
    config,
    schema: {
      operationId: 'revokeCertificate',
      security: needs('certificates:write'),
      summary: 'Revoke a managed certificate at its CA, and obtain another at once',
      description:
        'The body may be left out. 502 `issuer_failed` where the CA refuses: nothing has changed then.',
      tags,
      params,
      body: revokeBody,
      response: { 202: Certificate, ...problems },
    },
    async handler(request, reply) {
      await once(request, {}, () => service.revoke(originOf(request), request.params.id, request.body));
      return reply.code(202).send(await answer(request, reply, request.params.id));
    },
  });

  app.get('/certificates/:id/attempts', {
    schema: {
      operationId: 'listAttempts',
      security: needs('certificates:read'),
      summary: 'The last attempts to obtain a certificate, the newest first',
      description: 'At most 20, each with what the CA answered, word for word.',
      tags,
      params,
      response: { 200: Attempts, ...problems },
    },
    handler: async (request) =>
      view.attempts(request.params.id, { links: boundsOf(accessOf(request)) === undefined }),
  });
}
