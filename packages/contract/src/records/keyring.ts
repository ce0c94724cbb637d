import { recordKind } from './kind-module.ts';

/** Which keys a control plane has that runs. Its id is random, and the control plane holds the lease `keyring/<id>` for as long. */
export interface KeyringRecord {
  /** The host's name and the process id, for people. */
  holder: string;
  /** The ids of its secret keys. */
  keys: string[];
}

export const keyring = recordKind<KeyringRecord>()({
  kind: 'keyring',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
