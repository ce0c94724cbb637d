import type { ClientResponse } from '../../server/client-message.ts';
import { sendOwnAnswer } from '../../server/own-answer.ts';
import type { ChallengeTable } from '../tls/challenge-table.ts';

const prefix = '/.well-known/acme-challenge/';
const fields = ['content-type', 'application/octet-stream'];

/**
 * Answers a pending http-01 challenge (RFC 8555, section 8.3), of whatever host, and says whether there was one. A CA follows redirects
 * to https, and a CDN in front may make one of every request.
 */
export function answerChallenge(
  answer: ClientResponse,
  path: string,
  challenges: Pick<ChallengeTable, 'keyAuthorization'>,
): boolean {
  if (!path.startsWith(prefix)) return false;
  const keyAuthorization = challenges.keyAuthorization(path.slice(prefix.length));
  if (keyAuthorization === null) return false;
  sendOwnAnswer(answer, { status: 200, fields, body: Buffer.from(keyAuthorization) }, fields);
  return true;
}
