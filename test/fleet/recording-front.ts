import { once } from 'node:events';
import { createServer, type IncomingMessage, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { isOfPrism } from '@lockstep/testkit';
import type t from 'tap';

export interface DescribedOperations {
  paths: Record<string, Record<string, { operationId?: string }>>;
}

export interface RecordingFrontOptions {
  /** The OpenAPI document, whose operations are counted. */
  document: DescribedOperations;
  /** Where a request is sent on to: a URL. */
  to(request: IncomingMessage): string;
}

/** A server that sends each request on, and keeps which operation was answered with which status, and what Prism found wrong. */
export async function startRecordingFront(
  test: Pick<typeof t, 'teardown'>,
  { document, to }: RecordingFrontOptions,
) {
  const operations = operationsIn(document);
  const seen = new Map(operations.map(({ id }) => [id, new Set<number>()]));
  const violations: object[] = [];
  const server = createServer(async (request, response) => {
    try {
      const sent = await buffer(request);
      const { method = '', url = '', headers } = request;
      const onward = send(new URL(url, to(request)), { method, headers }).end(sent);
      const [answer] = (await once(onward, 'response')) as [IncomingMessage];
      const status = answer.statusCode ?? 0;
      response.writeHead(status, answer.headers);
      if (answer.headers['content-type']?.startsWith('text/event-stream')) {
        response.on('close', () => onward.destroy());
        answer.on('error', () => response.destroy()).pipe(response);
        return;
      }
      const body = await buffer(answer);
      const text = body.toString();
      const operation = operationFor(operations, method, url);
      if (isOfPrism(text))
        violations.push({ method, url, sent: sent.toString().slice(0, 500), answer: text });
      else if (operation !== undefined) seen.get(operation.id)?.add(status);
      response.end(body);
    } catch {
      response.destroy();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  test.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, violations };
}

interface KnownOperation {
  id: string;
  method: string;
  parts: string[];
}

function operationsIn(document: DescribedOperations): KnownOperation[] {
  return Object.entries(document.paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { operationId }]) =>
        operationId === undefined
          ? []
          : [{ id: operationId, method: method.toUpperCase(), parts: path.split('/') }],
      ),
    )
    .sort((a, b) => variables(a) - variables(b));
}

/** The operation that a request is for: of those whose path fits, that with the fewest variables. */
function operationFor(operations: KnownOperation[], method: string, url: string): KnownOperation | undefined {
  const parts = url.split('?', 1)[0]!.split('/');
  return operations.find(
    (one) =>
      one.method === method &&
      one.parts.length === parts.length &&
      one.parts.every((part, index) => part.startsWith('{') || part === parts[index]),
  );
}

function variables({ parts }: KnownOperation): number {
  return parts.filter((part) => part.startsWith('{')).length;
}
