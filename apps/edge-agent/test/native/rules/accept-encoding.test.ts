import t from 'tap';
import { type Coding, chooseCoding } from '../../../src/native/rules/accept-encoding.ts';
import { compileTypes } from '../../../src/native/rules/compressed-types.ts';

t.test('the client’s weights decide, then what costs least (RFC 9110, section 12.5.3)', async (t) => {
  const cases: [string | undefined, Coding | null][] = [
    [undefined, null],
    ['', null],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, deflate, br', 'br'],
    ['gzip;q=1.0, br;q=0.5, zstd;q=0.1', 'gzip'],
    ['br; q=0.9 , gzip ;Q=0.8', 'br'],
    ['gzip;q=0', null],
    ['gzip;q=0, *', 'zstd'],
    ['*;q=0', null],
    ['*;q=0.1, zstd;q=0', 'br'],
    ['identity', null],
    ['identity;q=0.5, gzip;q=0.4', null],
    ['identity;q=0.5, gzip;q=0.5', 'gzip'],
    ['identity;q=0', null],
    ['identity;q=0, gzip;q=0.001', 'gzip'],
    ['deflate, compress', null],
    ['gzip;q=high, br;q=2', null],
    [',, gzip,', 'gzip'],
  ];
  for (const [given, coding] of cases) t.equal(chooseCoding(given), coding, String(given));
});

t.test('types are compressed by name and by pattern; event streams by name alone', async (t) => {
  const usual = compileTypes();
  for (const type of [
    'text/html; charset=utf-8',
    'TEXT/CSS',
    'application/json',
    'application/problem+json',
    'image/svg+xml',
    'font/ttf',
  ])
    t.equal(usual(type), true, type);
  for (const type of [
    '',
    'image/png',
    'video/mp4',
    'application/zip',
    'font/woff2',
    'application/grpc',
    'text/event-stream',
    'text',
  ])
    t.equal(usual(type), false, type);
  const own = compileTypes(['application/vnd.own', 'audio/*', 'model/*+xml', 'text/event-stream']);
  for (const type of ['application/vnd.own', 'audio/midi', 'model/x+xml', 'text/event-stream;charset=utf-8'])
    t.equal(own(type), true, type);
  for (const type of ['application/vnd.owner', 'audio/', 'model/xml', 'text/html'])
    t.equal(own(type), false, type);
  t.equal(compileTypes(['*/*'])('text/event-stream'), false);
  t.equal(compileTypes(['*/*'])('image/png'), true);
});
