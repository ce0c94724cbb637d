import { AppError, isAdminHost, readAuthority, speaksAnother } from '@lockstep/contract';
import type { FastifyRequest } from 'fastify';
import { invalidField } from '../validation/invalid-field.ts';
import { checkTarget } from './request-target.ts';

/** Both below what Node's parser reads (`parsedHeadBytes`), so that these limits are told in a problem document with the request's id. */
const longestTargetBytes = 8_192;
const largestFieldsBytes = 16_384;
/** Beyond, the parser gives up, and `answerUnreadable` answers. */
export const parsedHeadBytes = 32_768;

/** To be called at once, while the request is parsed. Throws `AppError` for a head that no address of this API may be asked with. `adminHosts`: the names of this server, besides addresses and localhost. */
export function checkHead({ raw }: FastifyRequest, adminHosts: readonly string[]): void {
  const { rawHeaders, headers, httpVersion } = raw;
  if (speaksAnother(raw)) throw notHttp();
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    throw httpVersion === '0.9' ? notHttp() : otherVersion();
  const target = raw.url ?? '';
  if (target.length > longestTargetBytes)
    throw new AppError('uri_too_long', `the address is longer than ${longestTargetBytes} bytes`);
  if (rawHeaders.reduce((sum, text) => sum + text.length, 0) > largestFieldsBytes)
    throw new AppError(
      'headers_too_large',
      `the fields are larger than ${largestFieldsBytes} bytes together`,
    );
  checkTarget(raw);
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  // RFC 9112, section 3.2. HTTP/1.0 did without, and health checks still do.
  if (hosts > 1) throw invalidField('Host', 'is there more than once');
  if (hosts === 0 && httpVersion !== '1.0') throw invalidField('Host', 'is missing');
  if (headers.host !== undefined) checkHost(headers.host, adminHosts);

  const { expect } = headers;
  if (expect !== undefined && httpVersion !== '1.0' && expect.toLowerCase() !== '100-continue')
    throw new AppError('expectation_failed', 'only "Expect: 100-continue" can be met');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') throw unknownCoding();
}

export function notHttp(pointer = 'head'): AppError {
  return invalidField(pointer, 'is not what HTTP/1.1 allows (RFC 9112)');
}

export function otherVersion(): AppError {
  return new AppError('version_not_supported', 'HTTP/1.1 and HTTP/1.0 are spoken here');
}

export function unknownCoding(): AppError {
  return new AppError('not_implemented', 'of the transfer codings, only chunked is known here');
}

function checkHost(field: string, adminHosts: readonly string[]): void {
  const read = readAuthority(field);
  if ('fault' in read) throw invalidField('Host', read.fault);
  const { host } = read;
  if (isAdminHost(host, adminHosts)) return;
  throw new AppError(
    'misdirected',
    `"${host}" is no name of this server; call it by its address, or start it with the name in --admin-hosts (LOCKSTEP_ADMIN_HOSTS)`,
    { facts: { host } },
  );
}
