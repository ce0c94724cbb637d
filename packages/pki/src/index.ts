export * from './acme/acme-client.ts';
export * from './acme/acme-problem.ts';
export * from './chain.ts';
export * from './csr.ts';
export * from './internal-ca.ts';
export * from './key-pair.ts';
export * from './sealer.ts';
