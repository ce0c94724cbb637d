import type { Boundary } from '@lockstep/contract';
import type { Handshakes } from './handshakes.ts';

/** Node calls these from within OpenSSL: what one of them throws would end the process. So it ends that handshake. */
export function guardHandshakes(handshakes: Handshakes, boundary: Pick<Boundary, 'note'>): Handshakes {
  const note = (error: unknown): Error => {
    boundary.note('handshake', error);
    return error instanceof Error ? error : new Error(String(error));
  };
  return {
    ...handshakes,
    SNICallback(name, callback) {
      try {
        handshakes.SNICallback.call(this, name, callback);
      } catch (error) {
        callback(note(error));
      }
    },
    ALPNCallback(asked) {
      try {
        return handshakes.ALPNCallback.call(this, asked);
      } catch (error) {
        note(error);
        return undefined;
      }
    },
    onOcspRequest(der, issuer, callback) {
      try {
        handshakes.onOcspRequest(der, issuer, callback);
      } catch (error) {
        note(error);
        callback(null, null);
      }
    },
  };
}
