const keptNonces = 64;

/** Nonces of earlier answers (RFC 8555, section 6.5), the freshest first: a CA forgets old ones. */
export interface NoncePool {
  take(): string | undefined;
  put(nonce: string): void;
  clear(): void;
}

export function createNoncePool(): NoncePool {
  const nonces: string[] = [];
  return {
    take: () => nonces.pop(),
    put(nonce) {
      nonces.push(nonce);
      if (nonces.length > keptNonces) nonces.shift();
    },
    clear() {
      nonces.length = 0;
    },
  };
}
