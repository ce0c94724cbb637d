import {
  DeleteQuery,
  NewToken,
  PageQuery,
  PostToken,
  Problem,
  pageOf,
  Token,
  TokenId,
} from '@lockstep/contract/schemas';
import { z } from 'zod';
import type { TokenService } from '../tokens/token-service.ts';
import { makeToken } from '../tokens/token-text.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { once } from './idempotent.ts';
import { missingOk } from './missing-ok.ts';
import { movingOfToken } from './moving-parts.ts';
import { needs } from './needs.ts';
import { accessOf, originOf } from './request-origin.ts';

const TokenPage = pageOf(Token, 'TokenPage');
const params = z.object({ id: TokenId });
const problems = { '4xx': Problem, '5xx': Problem };
const tags = ['tokens'];

export interface TokensApiOptions {
  service: TokenService;
}

export function tokensApi(app: ApiInstance, { service }: TokensApiOptions): void {
  app.post('/tokens', {
    schema: {
      operationId: 'createToken',
      security: needs('tokens:write'),
      summary: 'Make a token; its text is in this answer alone',
      description:
        'It reaches no further than the token that makes it: 403 `forbidden` names a scope that this one lacks. A token never changes: make another, then revoke the one before.',
      tags,
      body: PostToken,
      response: { 201: NewToken, ...problems },
    },
    async handler(request, reply) {
      const access = accessOf(request);
      const { id, text } = await once(request, makeToken(), (token) =>
        service.make(originOf(request), access, request.body, token),
      );
      const made = { ...(await service.view(access, id)), token: text };
      return reply
        .code(201)
        .header('location', `/v1/tokens/${made.id}`)
        .header('cache-control', 'no-store')
        .send(made);
    },
  });

  app.get('/tokens', {
    schema: {
      operationId: 'listTokens',
      security: needs('tokens:read'),
      summary: 'List tokens by id, without their texts, expired ones too',
      description: 'Those of the environment are not among them.',
      tags,
      querystring: PageQuery,
      response: { 200: TokenPage, ...problems },
    },
    handler: async (request) => service.list(accessOf(request), request.query),
  });

  app.get('/tokens/:id', {
    config: { conditional: true },
    schema: {
      operationId: 'getToken',
      security: needs('tokens:read'),
      summary: 'Get a token, without its text, and when it was used last',
      tags,
      params,
      response: { 200: Token, ...problems },
    },
    async handler(request, reply) {
      const token = await service.view(accessOf(request), request.params.id);
      tag(request, reply, token.revision, movingOfToken(token));
      return token;
    },
  });

  app.delete('/tokens/:id', {
    config: { conditional: true },
    schema: {
      operationId: 'revokeToken',
      security: needs('tokens:write'),
      summary: 'Revoke a token',
      description: 'The control plane that answers refuses it at once, the others when they hear of it.',
      tags,
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('The token is revoked'), ...problems },
    },
    async handler(request, reply) {
      const removal = service.revoke(originOf(request), accessOf(request), request.params.id);
      await missingOk(request.query, removal);
      return reply.code(204).send(null);
    },
  });
}
