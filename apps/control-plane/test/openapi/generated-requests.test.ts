import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { testFolder } from '@lockstep/testkit';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { createGenerator } from 'json-schema-faker';
import t from 'tap';
import {
  nameOfRef,
  type OpenapiDocument,
  type Operation,
  operationsOf,
  type Schema,
} from '../../src/openapi/document-parts.ts';
import { openapiDocument } from '../../src/openapi/openapi-document.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

/** How often each operation is asked, and where the generator begins: `GENERATED_ROUNDS=200 GENERATED_SEED=7` before the command try more. */
const rounds = Number(process.env.GENERATED_ROUNDS ?? 12);
const seed = Number(process.env.GENERATED_SEED ?? 1);

interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | Buffer | null;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

const document = (await openapiDocument()) as OpenapiDocument;
const ajv = new Ajv2020({ strict: false, validateFormats: true, allErrors: false });
addFormats.default(ajv);
// JSON Schema has no names for ranges of addresses; these are zod's.
for (const format of ['cidrv4', 'cidrv6']) ajv.addFormat(format, true);
ajv.addSchema({ $id: 'http://lockstep.invalid/openapi', ...document });
const problem = ajv.compile({ $ref: 'http://lockstep.invalid/openapi#/components/schemas/Problem' });
const random = sequence(seed);

/** Not described of each operation, since every address has them: RFC 9110, sections 15.5.6 and so on. */
const everywhere = new Set([405, 408, 414, 417, 431, 501, 505]);
/** What would end the test, or ask others than this process. */
const leftOut = new Set(['rotateKeys']);

/** An address whose last part other methods take for an id, as a route may be called so. */
function isAnIdToo(path: string): boolean {
  return !path.endsWith('}') && `${path.slice(0, path.lastIndexOf('/'))}/{id}` in document.paths;
}

t.test('whatever is asked, the answer is one that openapi.yaml describes, and none is 5xx', async (t) => {
  const plane = await startControlPlane(t, testFolder(t, {}));
  plane.acknowledge('edge-1');
  const ids = await seeds(plane.call);
  const agent = new (process.getBuiltinModule('http').Agent)({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const port = Number(new URL(plane.url).port);
  const counts = new Map<number, number>();
  for (const { path, method, operation } of operationsOf(document)) {
    if (leftOut.has(operation.operationId)) continue;
    const generator = createGenerator({
      seed: seed + operation.operationId.length,
      optionalsProbability: 0.4,
    });
    for (let round = 0; round < rounds; round += 1) {
      const asked = await generate(path, method.toUpperCase(), operation, ids, generator);
      const answer = await send(agent, port, asked);
      counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
      const fault = faultOf(operation, answer);
      if (fault !== null)
        t.fail(`${operation.operationId}: ${fault}`, {
          asked: shown(asked),
          answer: answer.text.slice(0, 1_000),
        });
    }
  }
  for (const path of Object.keys(document.paths))
    for (const method of ['PROPFIND', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'POST']) {
      if (method.toLowerCase() in (document.paths[path] ?? {})) continue;
      const headers = { authorization: `Bearer ${adminToken}` };
      const asked = { method, path: filled(path, ['nobody']), headers, body: null };
      const answer = await send(agent, port, asked);
      if (method === 'OPTIONS')
        t.match(answer, { status: 204, headers: { allow: /GET|POST|PUT/ } }, `OPTIONS ${path}`);
      else if (isAnIdToo(path)) continue;
      else if (![401, 404, 405, 501].includes(answer.status) || !isProblem(answer))
        t.fail(`${method} ${path} is answered ${answer.status}`, { answer: answer.text.slice(0, 500) });
    }
  t.ok((counts.get(200) ?? 0) > rounds, 'some are taken');
  t.ok((counts.get(400) ?? 0) > rounds, 'some are refused');
  t.comment(
    [...counts]
      .sort()
      .map(([status, count]) => `${status}: ${count}`)
      .join(', '),
  );
});

/** What there is to be asked for. */
async function seeds(call: Awaited<ReturnType<typeof startControlPlane>>['call']): Promise<string[]> {
  const upstreams = [{ url: 'http://127.0.0.1:3000' }];
  await call('PUT', '/v1/routes/seed', { body: { hosts: ['seed.example.com'], upstreams } });
  return [
    'seed',
    'seed.example.com',
    'edge-1',
    'internal',
    'nobody',
    'x'.repeat(200),
    '%zz',
    '..',
    '%00',
    'ü',
    "'",
  ];
}

async function generate(
  path: string,
  method: string,
  operation: Operation,
  ids: string[],
  generator: ReturnType<typeof createGenerator>,
): Promise<Asked> {
  const headers: Record<string, string> = { authorization: `Bearer ${adminToken}` };
  // A stream does not end.
  if (operation.operationId === 'getEvents') headers.accept = 'application/json';
  const query: string[] = [];
  for (const parameter of parametersOf(operation)) {
    if (parameter.in === 'path' || random() < 0.6) continue;
    const value = String(random() < 0.7 ? await anyOf(parameter.schema, generator) : oddValue());
    if (parameter.in === 'query') query.push(`${parameter.name}=${encodeURIComponent(value.toWellFormed())}`);
    // A field of a request cannot hold what breaks its line.
    if (parameter.in === 'header') headers[parameter.name] = value.replace(/[^\x20-\x7e]/g, '');
  }
  if (random() < 0.1) query.push('nothing=1', 'limit=1', 'limit=2');
  const target = filled(path, ids) + (query.length === 0 ? '' : `?${query.join('&')}`);
  const [type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (type === undefined || content === undefined) {
    const body = random() < 0.1 ? '{"a":1}' : null;
    return { method, path: target, headers, body: method === 'GET' ? null : body };
  }
  headers['content-type'] = random() < 0.9 ? type : 'text/plain';
  const schema = lineOf(content.schema);
  const examples = examplesOf(schema);
  const value =
    examples.length > 0 && random() < 0.5
      ? examples[Math.floor(random() * examples.length)]
      : await anyOf(schema, generator);
  const choice = random();
  if (choice < 0.4) return { method, path: target, headers, body: JSON.stringify(value) };
  if (choice < 0.85) return { method, path: target, headers, body: JSON.stringify(mutated(value)) };
  const odd: (() => string | Buffer | null)[] = [
    () => null,
    () => '',
    () => '[]',
    () => '{"hosts":["a.example.com"],"hosts":1',
    () => Buffer.from([0xff, 0xfe, 0x7b, 0x00]),
    () => '{"__proto__":{"a":1},"constructor":1}',
    () => '9'.repeat(400),
    () => '['.repeat(20_000),
    () => {
      headers['content-encoding'] = 'gzip';
      return gzipSync(JSON.stringify(value));
    },
  ];
  return { method, path: target, headers, body: odd[Math.floor(random() * odd.length)]!() };
}

function faultOf(operation: Operation, answer: Answer): string | null {
  const { status, headers, text } = answer;
  // The node here is one that the test speaks for, and answers no questions.
  if (status === 504 && operation.operationId === 'listNodeUpstreams') return null;
  if (status >= 500 && !everywhere.has(status)) return `answered ${status}`;
  if (headers['x-request-id'] === undefined) return `${status} has no X-Request-Id`;
  const described = operation.responses[String(status)];
  if (described === undefined) {
    if (!everywhere.has(status)) return `${status} is not described`;
    return isProblem(answer) ? null : `${status} is no problem document`;
  }
  if (status >= 400) return isProblem(answer) ? null : `${status} is no problem document`;
  const type = String(headers['content-type'] ?? '').split(';')[0] ?? '';
  if (described.content === undefined)
    return text === '' ? null : `${status} has a body that is not described`;
  const content = described.content[type];
  if (content === undefined) return `${status} has the type "${type}", which is not described`;
  if (!type.includes('json')) return null;
  const validate = ajv.compile(absolute(lineOf(content.schema)));
  const texts = content.schema.contentSchema === undefined ? [text] : text.split('\n').filter(Boolean);
  return texts.every((one) => validate(JSON.parse(one)))
    ? null
    : `${status}: ${ajv.errorsText(validate.errors)}`;
}

/** What each line is, of a body of many. */
function lineOf(schema: Schema): Schema {
  return (schema.contentSchema as Schema | undefined) ?? schema;
}

function isProblem({ headers, text }: Answer): boolean {
  return (
    /^application\/problem\+json/.test(String(headers['content-type'])) && problem(JSON.parse(text)) === true
  );
}

/** A schema that stands by itself: what it refers to is in the document. */
function absolute(schema: Schema): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"http://lockstep.invalid/openapi#/'));
}

interface Parameter {
  name: string;
  in: string;
  schema: Schema;
}

function parametersOf(operation: Operation): Parameter[] {
  const shared = (document.components.parameters ?? {}) as Record<string, Parameter>;
  return ((operation.parameters ?? []) as (Parameter & { $ref?: string })[]).map((one) =>
    one.$ref === undefined ? one : shared[one.$ref.split('/').at(-1) ?? '']!,
  );
}

function examplesOf(schema: Schema): unknown[] {
  const found = schema.$ref === undefined ? schema : document.components.schemas[nameOfRef(schema.$ref)];
  return (found?.examples ?? []) as unknown[];
}

async function anyOf(schema: Schema, generator: ReturnType<typeof createGenerator>): Promise<unknown> {
  return generator.generate({ ...schema, components: document.components } as never);
}

function mutated(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return oddValue();
  const copy = structuredClone(value) as Record<string, unknown>;
  const names = Object.keys(copy);
  const name = names[Math.floor(random() * names.length)];
  if (name === undefined || random() < 0.15) return { ...copy, stranger: oddValue() };
  const choice = random();
  if (choice < 0.25) delete copy[name];
  else if (choice < 0.5) copy[name] = oddValue();
  else copy[name] = mutated(copy[name]);
  return copy;
}

function oddValue(): unknown {
  const values = [
    null,
    -1,
    0,
    1e21,
    '',
    ' ',
    'x'.repeat(5_000),
    '\u0000',
    '\ud800',
    'ＡＢＣ.example',
    [],
    {},
    true,
    ['a', 1],
  ];
  return values[Math.floor(random() * values.length)];
}

function filled(path: string, ids: string[]): string {
  return path.replaceAll(/\{\w+\}/g, () => encoded(ids[Math.floor(random() * ids.length)] ?? 'x'));
}

function encoded(id: string): string {
  return id.startsWith('%') ? id : encodeURIComponent(id);
}

function send(
  agent: import('node:http').Agent,
  port: number,
  { method, path, headers, body }: Asked,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
      response.setEncoding('utf8');
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
        // What never ends is an answer by its head.
        if (String(response.headers['content-type']).includes('event-stream')) response.destroy();
      });
      response.on('close', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end(body ?? undefined);
  });
}

function shown({ method, path, headers, body }: Asked): string {
  const { authorization: _hidden, ...rest } = headers;
  return `${method} ${path} ${JSON.stringify(rest)} ${String(body).slice(0, 2_000)}`;
}

/** Mulberry32: the same numbers for the same seed. */
function sequence(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
