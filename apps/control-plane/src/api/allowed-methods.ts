import { AppError } from '@lockstep/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pathOf } from './request-target.ts';

/**
 * Answers requests that no route takes: OPTIONS with the methods of the address, 405 with `Allow` for another method than those
 * (RFC 9110, section 15.5.6), 404 where there is no address. Before the body is read, and after the token was asked for.
 */
export function answerUnknown(app: FastifyInstance): void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methodsOf.get(url) ?? new Set<string>();
    methodsOf.set(url, known);
    for (const name of [method].flat()) known.add(name);
  });

  function allowed(path: string): string[] {
    const found = new Set<string>();
    for (const [pattern, methods] of methodsOf)
      if (path === '*' || matches(pattern, path)) for (const method of methods) found.add(method);
    return found.size === 0 ? [] : [...found, 'OPTIONS'].sort();
  }

  app.addHook('preParsing', async (request: FastifyRequest, reply: FastifyReply) => {
    if (!request.is404) return;
    const { method } = request;
    const path = pathOf(request.raw.url ?? '');
    const methods = allowed(path);
    if (methods.length === 0)
      throw new AppError('not_found', `there is no ${path.slice(0, 200)}; /openapi.json lists what there is`);
    reply.header('allow', methods.join(', '));
    if (method === 'OPTIONS') return reply.code(204).send();
    throw new AppError('method_not_allowed', `${path} takes ${methods.join(', ')}, not ${method}`);
  });
}

function matches(pattern: string, path: string): boolean {
  const parts = pattern.split('/');
  const given = path.split('/');
  if (parts.length !== given.length) return false;
  return parts.every((part, index) => (part.startsWith(':') ? given[index] !== '' : part === given[index]));
}
