import { createProblem, type ErrorCode, errorCodes, problemContentType } from '@lockstep/contract';
import {
  nameOfRef,
  type OpenapiDocument,
  type Operation,
  operationsOf,
  type Response,
  schemaRef,
} from './document-parts.ts';

/** Of the codes with one status, the example's; and a detail such as it has. */
const examples: [ErrorCode, string][] = [
  [
    'invalid_request',
    '/hosts/0: host "shop" is a single label; a route needs a full name such as shop.example.com',
  ],
  ['unauthorized', 'send a token as "Authorization: Bearer …"'],
  ['forbidden', 'the token "shop backend" lacks the scope issuers:write'],
  ['not_found', 'there is no route "shop"'],
  ['host_taken', 'host "shop.example.com" with path "/" belongs to route "shop"'],
  ['precondition_failed', 'If-Match asks for another revision of this: it is at "41"'],
  [
    'events_gone',
    'events after "000000000000042-0000-6f1d2c3b" are no longer kept; go on with since=beginning',
  ],
  ['payload_too_large', 'the body is over 1 MiB'],
  ['idempotency_key_reused', 'the Idempotency-Key "b7f0…" was used for another request'],
  ['unsupported_media_type', 'send the body as application/json'],
  ['misdirected', '"evil.example" is no name of this server'],
  ['rate_limited', 'the token "shop backend" may call 6000 times in 60 s'],
  ['internal', 'something unexpected failed; the log has it under this request’s id'],
  ['issuer_failed', 'the CA refused'],
  ['store_unavailable', 'the store cannot be reached'],
];

const instance = '0b4b7f0e-3f5e-4f0e-9d53-6f0f4a6f7c11';

const requestIdHeader = { 'X-Request-Id': { $ref: '#/components/headers/RequestId' } };

const rateLimitHeaders = {
  RateLimit: { $ref: '#/components/headers/RateLimit' },
  'RateLimit-Policy': { $ref: '#/components/headers/RateLimitPolicy' },
};

const headers = {
  RequestId: {
    description: 'The id of the request, as in the log: the one that was sent, where it can be used',
    schema: { type: 'string' },
  },
  Location: {
    description: 'The address of what was made',
    schema: { type: 'string', format: 'uri-reference' },
  },
  PreferenceApplied: {
    description: 'The wait that was kept to (RFC 7240)',
    schema: { type: 'string', examples: ['wait=60'] },
  },
  ETag: {
    description:
      'The revision of what is stored of it; behind it, while its state has something to tell, a digest of that: `"41.Rk3xP0mQ7aZdW1uc"`. `If-Match` goes by the revision, `If-None-Match` of a GET by all of it',
    schema: { type: 'string', examples: ['"41"'] },
  },
  Replayed: {
    description: '`true`: the answer to an earlier request with the same `Idempotency-Key`',
    schema: { type: 'string', enum: ['true'] },
  },
  RetryAfter: { description: 'Seconds until another try', schema: { type: 'integer', minimum: 1 } },
  Authenticate: { description: 'RFC 6750, section 3', schema: { type: 'string' } },
  RateLimit: {
    description:
      'How many calls the token has left, and in how many seconds it has them all again (draft-ietf-httpapi-ratelimit-headers); not for the admin’s',
    schema: { type: 'string', examples: ['"token";r=5999;t=60'] },
  },
  RateLimitPolicy: {
    description: 'How many calls the token has, in how many seconds',
    schema: { type: 'string', examples: ['"token";q=6000;w=60'] },
  },
};

/** Tells of each operation with which errors it answers, with which fields, and what its answers are. */
export function describeResponses(
  document: OpenapiDocument,
  conditional: ReadonlySet<string>,
  keyed: ReadonlySet<string>,
): void {
  document.components.headers = headers;
  document.components.responses = Object.fromEntries([
    ...examples.map(([code, detail]) => [nameOf(errorCodes[code].status), problemResponse(code, detail)]),
    ['Problem', anyProblem],
  ]);
  for (const { path, method, operation } of operationsOf(document)) {
    operation.description ??= `${operation.summary}.`;
    const answers = Object.entries(operation.responses).filter(([status]) => /^\d+$/.test(status));
    const tagged = conditional.has(operation.operationId);
    for (const [status, response] of answers)
      describeAnswer(operation, status, response, {
        tagged: tagged && hasRevision(document, response),
        keyed: keyed.has(operation.operationId),
      });
    const errors = errorsOf(path, method, operation, {
      tagged,
      keyed: keyed.has(operation.operationId),
    }).filter((status) => !(status in operation.responses));
    operation.responses = Object.fromEntries([
      ...answers,
      ...(tagged && method === 'get' ? [['304', notModified]] : []),
      ...errors.map((status) => [String(status), { $ref: `#/components/responses/${nameOf(status)}` }]),
      ['default', { $ref: '#/components/responses/Problem' }],
    ]);
  }
}

function errorsOf(
  path: string,
  method: string,
  { security, requestBody }: Operation,
  { tagged, keyed }: { tagged: boolean; keyed: boolean },
): number[] {
  const writes = method !== 'get';
  return [
    400,
    ...(security?.length === 0 ? [] : [401, 403]),
    ...(path.includes('{') || path.includes('/ca/') ? [404] : []),
    ...(writes ? [409] : []),
    ...(path.endsWith('/events') || path.endsWith('/redeliver') ? [410] : []),
    ...(writes || tagged ? [412] : []),
    ...(requestBody === undefined ? [] : [413, 415]),
    421,
    ...(keyed ? [422] : []),
    ...(security?.length === 0 ? [] : [429]),
    500,
    ...(path.endsWith('/revoke') ? [502] : []),
    503,
  ];
}

function describeAnswer(
  { operationId, security }: Operation,
  status: string,
  response: Response,
  { tagged, keyed }: { tagged: boolean; keyed: boolean },
): void {
  const [content] = Object.values(response.content ?? {});
  const name = nameOfRef(content?.schema.$ref);
  if (response.description === 'Default Response') response.description = descriptionOf(name, status);
  const routes = /^(create|put|patch)Route$/.test(operationId);
  response.headers = {
    ...requestIdHeader,
    ...(tagged && { ETag: { $ref: '#/components/headers/ETag' } }),
    ...(security?.length !== 0 && rateLimitHeaders),
    ...(keyed && { 'Idempotency-Replayed': { $ref: '#/components/headers/Replayed' } }),
    ...(status === '201' && { Location: { $ref: '#/components/headers/Location' } }),
    ...(routes && { 'Preference-Applied': { $ref: '#/components/headers/PreferenceApplied' } }),
  };
}

/** What became of a resource's POST may be something else than the resource, and has no tag then. */
function hasRevision({ components: { schemas } }: OpenapiDocument, { content }: Response): boolean {
  const [answer] = Object.values(content ?? {});
  const schema = schemas[nameOfRef(answer?.schema.$ref)];
  const variants = schema?.oneOf ?? schema?.anyOf ?? (schema === undefined ? [] : [schema]);
  return variants.some(({ properties }) => properties?.revision !== undefined);
}

function descriptionOf(schema: string, status: string): string {
  const what = schema === '' ? 'What was asked for' : words(schema);
  if (status === '201') return `${what}, which was made`;
  if (status === '202') return `${what}, as far as it is`;
  if (status === '503') return `${what}, which says what is missing`;
  return what;
}

function words(schema: string): string {
  const [first = '', ...rest] = schema.replace(/([a-z])([A-Z])/g, '$1 $2').split(' ');
  return [first, ...rest.map((word) => word.toLowerCase())].join(' ');
}

function problemResponse(code: ErrorCode, detail: string) {
  const status = errorCodes[code].status;
  const errors = [{ pointer: '/hosts/0', detail: detail.replace('/hosts/0: ', '') }];
  const members = code === 'invalid_request' ? { errors, instance } : { instance };
  const codes = Object.entries(errorCodes).flatMap(([other, of]) =>
    of.status === status ? [`\`${other}\``] : [],
  );
  return {
    description: `${codes.length === 1 ? 'Code' : 'Codes'} ${codes.join(', ')}`,
    headers: {
      ...requestIdHeader,
      ...(status === 429 && rateLimitHeaders),
      ...([429, 503].includes(status) && { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } }),
      ...(status === 401 && { 'WWW-Authenticate': { $ref: '#/components/headers/Authenticate' } }),
    },
    content: {
      [problemContentType]: {
        schema: schemaRef('Problem'),
        example: createProblem(code, status, detail, members),
      },
    },
  };
}

const notModified = {
  description: 'It is what `If-None-Match` names',
  headers: { ...requestIdHeader, ETag: { $ref: '#/components/headers/ETag' } },
};

const anyProblem = {
  description: 'Any other error: 405, 408, 414, 417, 431, 501 or 505',
  headers: requestIdHeader,
  content: { [problemContentType]: { schema: schemaRef('Problem') } },
};

function nameOf(status: number): string {
  return `Problem${status}`;
}
