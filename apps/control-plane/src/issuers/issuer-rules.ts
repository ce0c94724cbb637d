import { X509Certificate } from 'node:crypto';
import { broughtIssuer, type DnsProvider, type IssuerSecrets, type PutIssuer } from '@lockstep/contract';
import { providerFacts } from '@lockstep/contract/schemas';
import { splitChain } from '@lockstep/pki';
import { invalidField } from '../validation/invalid-field.ts';
import { internalIssuer } from './known-issuers.ts';

/** Throws `invalid_request` for an issuer that could never issue; `secrets` are those given and those kept. */
export function checkIssuer(name: string, config: PutIssuer, secrets: IssuerSecrets): void {
  if (name === broughtIssuer)
    throw invalidField('name', `"${name}" stands for certificates that were brought; choose another name`);
  if (name === internalIssuer && config.type !== 'internal')
    throw invalidField(
      '/type',
      `"${name}" is the internal CA; give an issuer of type ${config.type} another name`,
    );
  if (config.type === 'internal') return;
  if (config.type === 'acme') {
    if (config.eab !== undefined && secrets.eabHmacKey === undefined)
      throw invalidField('/eab/hmacKey', 'is needed: none is stored for this kid');
    if (config.roots !== undefined) checkRoots(config.roots);
  } else if (config.email === undefined && secrets.apiKey === undefined) {
    throw invalidField(
      '/apiKey',
      'a zerossl issuer needs its API key, or the e-mail address of the account in email',
    );
  }
  if (config.dnsProvider !== undefined)
    checkDnsProvider(config.dnsProvider, secrets.dnsProvider, '/dnsProvider');
}

function checkRoots(roots: string): void {
  for (const [index, pem] of splitChain(roots).entries()) {
    try {
      new X509Certificate(pem);
    } catch (cause) {
      throw invalidField('/roots', `certificate ${index + 1} cannot be read as PEM`, cause);
    }
  }
  if (splitChain(roots).length === 0) throw invalidField('/roots', 'holds no whole PEM certificate');
}

/** Throws `invalid_request` where a provider cannot work: a secret that is needed was neither given nor stored before. */
export function checkDnsProvider({ type }: DnsProvider, secret: string | undefined, pointer: string): void {
  const { secret: field, why } = providerFacts[type];
  if (why === null || secret !== undefined) return;
  throw invalidField(
    `${pointer}/${field}`,
    `is needed: ${why}; a stored one is kept only for the same account`,
  );
}
