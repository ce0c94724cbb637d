import { createRequire } from 'node:module';

/**
 * The libraries for certificates and for CAs, each loaded by the first call that needs it: together they are five hundred modules
 * and some 40 MB, and a control plane that orders nothing needs none of them.
 */
const require = createRequire(import.meta.url);

export function x509(): typeof import('@peculiar/x509') {
  require('reflect-metadata'); // it looks for its classes through this, and has to find it loaded
  return require('@peculiar/x509');
}

export function asn1(): typeof import('@peculiar/asn1-schema') {
  return require('@peculiar/asn1-schema');
}

export function asn1X509(): typeof import('@peculiar/asn1-x509') {
  return require('@peculiar/asn1-x509');
}

export function asn1Ocsp(): typeof import('@peculiar/asn1-ocsp') {
  return require('@peculiar/asn1-ocsp');
}

export function acmeClient(): typeof import('acme-client') {
  return require('acme-client');
}

export function axios(): typeof import('axios').default {
  return require('axios');
}
