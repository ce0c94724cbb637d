import { once } from 'node:events';
import {
  Client,
  credentials,
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const same = (bytes: Buffer) => bytes;
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${path}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const service = {
  one: method('One', false, false),
  many: method('Many', false, true),
  both: method('Both', true, true),
} satisfies ServiceDefinition;

const one: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
  const trailer = new Metadata();
  trailer.set('x-trailer', 'behind');
  const given = call.request.toString();
  if (given === 'fail') callback({ code: status.NOT_FOUND, details: 'no such thing', metadata: trailer });
  else {
    const head = new Metadata();
    head.set('x-head', String(call.metadata.get('x-asked')[0]));
    call.sendMetadata(head);
    callback(null, Buffer.from(`echo ${given}`), trailer);
  }
};
const many: handleServerStreamingCall<Buffer, Buffer> = (call) => {
  for (let i = 0; i < 1_000; i += 1) call.write(Buffer.from(`${i}`.padEnd(1_000)));
  call.end();
};
let cancelled = 0;
const both: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  call.on('data', (chunk: Buffer) => call.write(Buffer.from(`echo ${chunk}`)));
  call.on('end', () => call.end());
  call.on('cancelled', () => {
    cancelled += 1;
  });
};

const edge = await startWorker(t);
const authority = await createAuthority();
const keyPem = await generateKeyPem();
const now = Date.now();
const cert = await issueCertificate({
  authority,
  host: 'up.example.com',
  keyPem,
  lifetimeMs: 3_600_000,
  now,
});

for (const protocol of ['h2c', 'h2'] as const) {
  t.test(`gRPC passes to an upstream of ${protocol}, with what it says behind each answer`, async (t) => {
    const server = new Server();
    server.addService(service, { one, many, both });
    const pair = { private_key: Buffer.from(keyPem), cert_chain: Buffer.from(cert) };
    const own =
      protocol === 'h2' ? ServerCredentials.createSsl(null, [pair]) : ServerCredentials.createInsecure();
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', own, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    t.teardown(() => server.forceShutdown());
    const upstream =
      protocol === 'h2'
        ? {
            url: `https://127.0.0.1:${port}`,
            protocol,
            tls: { ca: authority.certificate, serverName: 'up.example.com' },
          }
        : { url: `http://127.0.0.1:${port}`, protocol };
    await edge.applied(await edge.serve('shop', [host], [upstream]));

    const client = new Client(`127.0.0.1:${edge.httpsPort}`, credentials.createSsl(Buffer.from(edge.root)), {
      'grpc.ssl_target_name_override': host,
      'grpc.default_authority': host,
    });
    t.teardown(() => client.close());
    const ask = (text: string, options = {}) =>
      new Promise<{
        value: string | undefined;
        error: ServiceError | null;
        head: Metadata | null;
        trailer: Metadata;
      }>((resolve) => {
        const asked = new Metadata();
        asked.set('x-asked', 'kept');
        let [value, error, head]: [string | undefined, ServiceError | null, Metadata | null] = [
          undefined,
          null,
          null,
        ];
        const call = client.makeUnaryRequest(
          service.one.path,
          same,
          same,
          Buffer.from(text),
          asked,
          options,
          (failure, answer) => {
            error = failure;
            value = answer?.toString();
          },
        );
        call.on('metadata', (metadata) => {
          head = metadata;
        });
        call.on('status', ({ metadata }) =>
          setImmediate(() => resolve({ value, error, head, trailer: metadata })),
        );
      });

    const good = await ask('hello');
    t.match([good.value, good.error], ['echo hello', null]);
    t.same(good.head?.get('x-head'), ['kept']);
    t.same(good.trailer.get('x-trailer'), ['behind']);

    const bad = await ask('fail');
    t.match(bad.error, { code: status.NOT_FOUND, details: 'no such thing' });
    t.same(bad.error?.metadata.get('x-trailer'), ['behind'], 'also where there is no body');

    const unknown = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest('/test.Echo/None', same, same, Buffer.from(''), (error) => resolve(error)),
    );
    t.equal(unknown?.code, status.UNIMPLEMENTED);

    const stream = client.makeServerStreamRequest(service.many.path, same, same, Buffer.from(''));
    let count = 0;
    for await (const message of stream) {
      if (Number(String(message)) === count) count += 1;
    }
    t.equal(count, 1_000);

    const call = client.makeBidiStreamRequest(service.both.path, same, same);
    for (let i = 0; i < 3; i += 1) {
      call.write(Buffer.from(String(i)));
      const [answer] = await once(call, 'data');
      t.equal(String(answer), `echo ${i}`, 'each before the next is sent');
    }
    call.end();
    const [ended] = await once(call.resume(), 'status');
    t.equal(ended.code, status.OK);

    const before = cancelled;
    const dropped = client.makeBidiStreamRequest(service.both.path, same, same);
    dropped.on('error', () => {});
    dropped.write(Buffer.from('x'));
    await once(dropped, 'data');
    dropped.cancel();
    await waitFor(() => cancelled > before, { what: 'the upstream to hear of the end' });

    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(String(i))));
    t.ok(
      answers.every(({ value }, i) => value === `echo ${i}`),
      'many at a time',
    );
  });
}
