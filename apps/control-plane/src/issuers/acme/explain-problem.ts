import type { AcmeAuthorization, AcmeError, AcmeOrder } from '@lockstep/pki';
import { AcmeProblem } from '@lockstep/pki';
import { type FailureKind, IssuerFailure } from '../issuer.ts';

const urn = 'urn:ietf:params:acme:error:';

/** What an error type of RFC 8555, section 6.7 means for what to do next. */
const kindOfType: Record<string, FailureKind> = {
  caa: 'refused',
  rejectedIdentifier: 'refused',
  unsupportedIdentifier: 'refused',
  externalAccountRequired: 'refused',
  userActionRequired: 'refused',
  unsupportedContact: 'refused',
  invalidContact: 'refused',
  invalidProfile: 'refused',
  badCSR: 'refused',
  badPublicKey: 'refused',
  badSignatureAlgorithm: 'refused',
  rateLimited: 'limit',
  serverInternal: 'unavailable',
  accountDoesNotExist: 'lost',
  orderNotReady: 'lost',
};

const hints: Record<string, string> = {
  externalAccountRequired: 'this CA needs an external account binding: set eab of the issuer',
  invalidProfile: 'set profile of the issuer to one that the CA’s directory lists, or leave it out',
  userActionRequired: 'the CA wants its terms of service agreed to anew',
  accountDoesNotExist: 'the CA does not know the account any more; another is made',
};

/** A refused request, in a sentence and with what it means for the order. */
export function explainProblem(said: AcmeProblem): IssuerFailure {
  const problem = withPlainLinks(said);
  const { status } = problem;
  const type = shortType(problem.type);
  const link = type === 'rateLimited' ? portalOf(said.detail) : null;
  if (link !== null) return explainPause(problem, link);
  const answer = status === null ? 'cannot be reached' : `answered ${status}`;
  const hint = hints[type] === undefined ? '' : ` (${hints[type]})`;
  return new IssuerFailure(`the CA ${answer}: ${problem.detail}${hint}`, {
    kind: kindOfProblem(status, type),
    cause: problem,
    problem: problem.document,
    retryAfterMs: problem.retryAfterMs,
  });
}

/**
 * Boulder no longer takes orders for a name whose validation failed for weeks on end, until somebody has visited its portal. The answer is a
 * 429 like that of any limit, so its words have to tell.
 */
function portalOf(detail: string): string | null {
  if (!/temporarily prevented from requesting/i.test(detail)) return null;
  return detail.match(links)?.[0].replace(/[.,;)]+$/, '') ?? null;
}

function explainPause({ document: problem }: AcmeProblem, link: string): IssuerFailure {
  return new IssuerFailure(
    `the CA has paused this name for the account, as it could not validate it for long: ${problem.detail} (the whole link is with the attempts of the certificate; once it has been visited, retry the issuer)`,
    { kind: 'paused', problem, link },
  );
}

const links = /https:\/\/[^\s"'<>]+/g;

/** Behind `?` or `#` a link may carry a token of the account, which is not for what is logged, sent and shown. */
function withPlainLinks({
  status,
  type,
  detail,
  subproblems,
  retryAfterMs,
  cause,
}: AcmeProblem): AcmeProblem {
  const plain = (text: string) => text.replace(links, (link) => link.replace(/[?#].*?([.,;)]*)$/, '$1'));
  const parts = subproblems.map((part) => ({ ...part, detail: plain(part.detail) }));
  return new AcmeProblem({ status, type, detail: plain(detail), subproblems: parts, retryAfterMs, cause });
}

/** What CAs call a binding that they do not accept. The words beside it are seldom of help: "error in cryptographic primitive". */
const bindingTypes = ['unauthorized', 'malformed', 'externalAccountRequired', ''];

/** Why no account could be made that is bound to an external one (RFC 8555, section 7.3.4). */
export function explainBinding(problem: AcmeProblem, kid: string): IssuerFailure {
  const { status, detail } = problem;
  const refused = status !== null && status >= 400 && status < 500 && status !== 429;
  if (!refused || !bindingTypes.includes(shortType(problem.type))) return explainProblem(problem);
  const check = 'see that eab.kid and eab.hmacKey of the issuer belong together and are still good at the CA';
  return new IssuerFailure(
    `the CA does not accept the external account binding with kid "${kid}": ${detail} (${check})`,
    { kind: 'refused', cause: problem, problem: problem.document },
  );
}

function kindOfProblem(status: number | null, type: string): FailureKind {
  if (status === null) return 'unavailable';
  const known = kindOfType[type];
  if (known !== undefined) return known;
  if (status === 429) return 'limit';
  if (status >= 500) return 'unavailable';
  if (status === 404) return 'lost';
  return 'refused';
}

/** A failed authorization: the CA's own words about the challenge that failed. */
export function explainAuthorization(authorization: AcmeAuthorization): IssuerFailure {
  const error = authorization.challenges.find((challenge) => challenge.error !== null)?.error ?? null;
  const type = shortType(error?.type ?? null);
  if (authorization.status === 'expired' || authorization.status === 'deactivated') {
    return new IssuerFailure(`the authorization at the CA is ${authorization.status}`, { kind: 'lost' });
  }
  return new IssuerFailure(
    `the CA could not validate the name: ${error?.detail ?? `authorization ${authorization.status}`}`,
    { kind: type === 'caa' ? 'refused' : 'unproven', problem: documentOf(error), counted: true },
  );
}

/** An order that the CA calls invalid for another reason than a failed authorization. */
export function explainOrder(order: AcmeOrder): IssuerFailure {
  const type = shortType(order.error?.type ?? null);
  return new IssuerFailure(
    `the CA calls the order ${order.status}: ${order.error?.detail ?? 'it gives no reason'}`,
    {
      kind: kindOfType[type] ?? (order.error === null ? 'lost' : 'refused'),
      problem: documentOf(order.error),
    },
  );
}

function documentOf(error: AcmeError | null) {
  return error === null ? null : { status: null, type: error.type, detail: error.detail, subproblems: [] };
}

function shortType(type: string | null): string {
  return type?.startsWith(urn) ? type.slice(urn.length) : (type ?? '');
}

export function isType(error: unknown, type: string): error is AcmeProblem {
  return error instanceof AcmeProblem && shortType(error.type) === type;
}
