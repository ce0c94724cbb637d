/** How a password hash is told to be made: what Caddy, htpasswd and argon2 make. */
export interface BcryptHash {
  kind: 'bcrypt';
  cost: number;
}

export interface Argon2Hash {
  kind: 'argon2id';
  memoryKib: number;
  passes: number;
  lanes: number;
  salt: string;
  digest: string;
}

/** Beyond these a single guess would keep an edge busy for seconds, or take memory that it needs. */
const mostCost = 15;
const leastCost = 4;
const mostMemoryKib = 131_072;
const mostPasses = 10;
const mostLanes = 8;

const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const argon2id =
  /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** What a hash says of itself, or why it is not taken. */
export function readPasswordHash(hash: string): BcryptHash | Argon2Hash | { fault: string } {
  const cost = Number(bcrypt.exec(hash)?.[1] ?? Number.NaN);
  if (cost >= leastCost && cost <= mostCost) return { kind: 'bcrypt', cost };
  if (!Number.isNaN(cost))
    return { fault: `has the cost ${cost}; from ${leastCost} to ${mostCost} is taken` };
  const [, memory, passes, lanes, salt, digest] = argon2id.exec(hash) ?? [];
  if (digest === undefined) {
    return {
      fault:
        'is neither a bcrypt hash ($2y$…), as `htpasswd -nB NAME` and `caddy hash-password` make, nor one of argon2id; the password itself, MD5 and SHA hashes are not taken',
    };
  }
  const given = { memoryKib: Number(memory), passes: Number(passes), lanes: Number(lanes) };
  if (given.memoryKib > mostMemoryKib || given.passes > mostPasses || given.lanes > mostLanes) {
    return {
      fault: `takes more than an edge spends on a guess; argon2id is taken up to m=${mostMemoryKib}, t=${mostPasses}, p=${mostLanes}`,
    };
  }
  if (given.lanes < 1 || given.passes < 1 || given.memoryKib < 8 * given.lanes)
    return { fault: 'has parameters that argon2id does not have' };
  return { kind: 'argon2id', ...given, salt: salt!, digest };
}
