import type { ApiInstance } from '../api/api-instance.ts';

/** Makes the API describe itself: `/openapi.json`. What renders it is loaded when somebody asks for it first. */
export function describeApi(app: ApiInstance): void {
  let document: Promise<object> | null = null;
  app.get('/openapi.json', { schema: { hide: true } }, () => {
    document ??= import('./openapi-document.ts').then(({ openapiDocument }) => openapiDocument());
    return document;
  });
}
