import {
  DeleteQuery,
  Issuer,
  IssuerLimits,
  IssuerName,
  IssuerRetry,
  PageQuery,
  Problem,
  PutIssuer,
  pageOf,
} from '@lockstep/contract/schemas';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { RetryFailed } from '../issuance/retry-failed.ts';
import type { IssuerService } from '../issuers/issuer-service.ts';
import type { Ledger } from '../issuers/ledger/ledger.ts';
import { limitsOf } from '../issuers/ledger/lets-encrypt-limits.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { onwards } from './idempotent.ts';
import { nullsLeftOut, withoutShown } from './json-body.ts';
import { missingOk } from './missing-ok.ts';
import { movingOfIssuer } from './moving-parts.ts';
import { needs } from './needs.ts';
import { pageOfList } from './page-of-list.ts';
import { originOf } from './request-origin.ts';

const IssuerPage = pageOf(Issuer, 'IssuerPage');
const params = z.object({ name: IssuerName });
const problems = { '4xx': Problem, '5xx': Problem };
const tags = ['issuers'];
const config = { conditional: true } as const;

/** What answers have beside what bodies take. */
export const shownOfIssuers = ['name', 'source', 'secrets', 'accountUrl', 'revision'];
export const shownOfZerossl = [...shownOfIssuers, 'directory'];

/** A body with a directory and no type is an ACME CA's. */
const body = z.preprocess((given) => {
  const zerossl = Object(given).type === 'zerossl';
  const input = nullsLeftOut(withoutShown(given, zerossl ? shownOfZerossl : shownOfIssuers));
  const untyped = typeof input === 'object' && input !== null && 'directory' in input && !('type' in input);
  return untyped ? { type: 'acme', ...input } : input;
}, PutIssuer);

export interface IssuersApiOptions {
  service: IssuerService;
  ledger: Ledger;
  retryFailed: RetryFailed;
}

export function issuersApi(app: ApiInstance, { service, ledger, retryFailed }: IssuersApiOptions): void {
  async function answer(request: FastifyRequest, reply: FastifyReply, name: string): Promise<Issuer> {
    const issuer = await service.view(name);
    tag(request, reply, issuer.revision, movingOfIssuer(issuer));
    return issuer;
  }

  app.get('/issuers', {
    schema: {
      operationId: 'listIssuers',
      security: needs('issuers:read'),
      summary: 'List issuers by name: those put, that of the environment, and the internal CA',
      description: 'Of their secrets only which are stored.',
      tags,
      querystring: PageQuery,
      response: { 200: IssuerPage, ...problems },
    },
    async handler(request) {
      return pageOfList(await service.views(), request.query, ({ name }) => name);
    },
  });

  app.get('/issuers/:name', {
    config,
    schema: {
      operationId: 'getIssuer',
      security: needs('issuers:read'),
      summary: 'Get an issuer; of its secrets only which are stored',
      description: '`source` tells whether it was put, comes from the environment, or is built in.',
      tags,
      params,
      response: { 200: Issuer, ...problems },
    },
    handler: async (request, reply) => answer(request, reply, request.params.name),
  });

  app.put('/issuers/:name', {
    config,
    schema: {
      operationId: 'putIssuer',
      security: needs('issuers:write'),
      summary: 'Create or replace an issuer',
      description:
        'With a `directory` and no `type`, the type is `acme`. A field that is null is as if left out. A secret that is left out stays as it was while what it belongs to is the same. 201 when it was created.',
      tags,
      params,
      body,
      response: { 200: Issuer, 201: Issuer, ...problems },
    },
    async handler(request, reply) {
      const { name } = request.params;
      const made = await service.put(originOf(request), name, request.body);
      if (made) reply.header('location', `/v1/issuers/${name}`);
      return reply.code(made ? 201 : 200).send(await answer(request, reply, name));
    },
  });

  app.delete('/issuers/:name', {
    config,
    schema: {
      operationId: 'deleteIssuer',
      security: needs('issuers:write'),
      summary: 'Delete an issuer that neither the settings nor a route name',
      description:
        '`internal` and the issuer of the environment are never gone: what was put over them is removed, and they are as they were.',
      tags,
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('The issuer is gone, or as it was'), ...problems },
    },
    async handler(request, reply) {
      await missingOk(request.query, service.remove(originOf(request), request.params.name));
      return reply.code(204).send(null);
    },
  });

  app.post('/issuers/:name/retry', {
    config,
    schema: {
      operationId: 'retryIssuer',
      security: needs('issuers:write'),
      summary: 'Try again soon every certificate that the issuer failed for a reason of its own',
      description:
        'For when what failed has been repaired. Limits and the CA’s Retry-After hold on; hosts that a CA could not validate keep their back-off.',
      tags,
      params,
      response: { 202: IssuerRetry, ...problems },
    },
    async handler(request, reply) {
      const { name, record } = await service.get(request.params.name);
      originOf(request).condition?.(record?.revision ?? 0);
      const { certificates } = await onwards(request, { certificates: 0 }, (told) =>
        retryFailed(originOf(request), name, told),
      );
      return reply.code(202).send({ issuer: name, certificates });
    },
  });

  app.get('/issuers/:name/limits', {
    schema: {
      operationId: 'getIssuerLimits',
      security: needs('issuers:read'),
      summary: 'What is left of the CA’s limits, for each that something was spent of',
      description: 'By what each is counted by: a registered domain, a host, or the account.',
      tags,
      params,
      querystring: PageQuery,
      response: { 200: IssuerLimits, ...problems },
    },
    async handler(request) {
      const { name, config } = await service.get(request.params.name);
      const limits = limitsOf(config);
      return { issuer: name, ...(await ledger.states(name, limits, request.query)) };
    },
  });
}
