import { z } from 'zod';
import { PathPrefix, ServedPath } from './paths.ts';

const prefix = PathPrefix.refine(
  (path) => path !== '/',
  'changes nothing: every path begins with /; leave it out',
);

export const rewrite = z
  .strictObject({
    stripPrefix: prefix.optional().describe('Taken off paths that begin with it'),
    addPrefix: prefix.optional().describe('Put before the path, after `stripPrefix`'),
    path: ServedPath.optional().describe('In place of the whole path'),
  })
  .superRefine(({ stripPrefix, addPrefix, path }, context) => {
    const changes = stripPrefix !== undefined || addPrefix !== undefined;
    if (path === undefined && !changes) {
      const message = 'changes nothing; leave rewrite out, or name stripPrefix, addPrefix or path';
      context.addIssue({ code: 'custom', message });
    }
    if (path === undefined || !changes) return;
    const message = 'is the whole path: it cannot stand beside stripPrefix and addPrefix';
    context.addIssue({ code: 'custom', message, path: ['path'] });
  })
  .meta({ id: 'RouteRewrite' });

export const shownRewrite = z
  .object({
    stripPrefix: z.string().optional(),
    addPrefix: z.string().optional(),
    path: z.string().optional(),
  })
  .meta({ id: 'StoredRouteRewrite' });
