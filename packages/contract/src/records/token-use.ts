import { recordKind } from './kind-module.ts';

/** When a token was used last, give or take a minute, under the token's id. */
export interface TokenUseRecord {
  lastUsedAt: string;
}

export const tokenUse = recordKind<TokenUseRecord>()({
  kind: 'token-use',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
