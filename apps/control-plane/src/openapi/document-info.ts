import { version } from '../startup/version.ts';

/** What the document says of the API as a whole. */
export const documentInfo = {
  openapi: '3.1.0',
  info: {
    title: 'Lockstep',
    version,
    description: 'The control plane for TLS edges: one POST, every edge serves it.',
    contact: { name: 'The maintainers of Lockstep' },
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [
    { url: '/', description: 'The control plane that answers with this document' },
    {
      url: 'http://{host}:{port}',
      description: 'Wherever `--listen`, or `--port` of `lockstep up`, says',
      variables: { host: { default: '127.0.0.1' }, port: { default: '7400' } },
    },
  ],
  tags: [
    { name: 'routes', description: 'Custom domains, and the upstreams they lead to' },
    { name: 'certificates', description: 'What edges serve for hosts, obtained or brought' },
    { name: 'issuers', description: 'CAs, with an account each' },
    { name: 'settings', description: 'What holds for the whole fleet' },
    { name: 'nodes', description: 'The edges' },
    { name: 'keys', description: 'The keys that secrets are sealed with' },
    { name: 'events', description: 'What happens, as it happens' },
    { name: 'webhooks', description: 'What happens, sent to addresses of yours' },
    { name: 'tokens', description: 'Who may call this API, and for what' },
    { name: 'audit', description: 'Who changed what' },
    { name: 'system', description: 'Health, readiness and metrics; no token is needed' },
  ],
  security: [{ token: [] }],
  components: {
    securitySchemes: {
      token: {
        type: 'http' as const,
        scheme: 'bearer',
        description:
          'A token of `POST /v1/tokens` with the scope that the operation names, or the admin’s, which is for all of them',
      },
    },
  },
};
