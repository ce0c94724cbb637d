import { FleetKeysStatus, Problem } from '@lockstep/contract/schemas';
import type { Rotate } from '../keys/rotation.ts';
import type { ApiInstance } from './api-instance.ts';
import { needs } from './needs.ts';
import { originOf } from './request-origin.ts';

export interface KeysApiOptions {
  rotate: Rotate;
  status(): FleetKeysStatus;
}

/** The keys that secrets are sealed with. */
export function keysApi(app: ApiInstance, { rotate, status }: KeysApiOptions): void {
  app.post('/keys/rotate', {
    schema: {
      operationId: 'rotateKeys',
      security: needs('admin'),
      summary:
        'Seal everything with the first key of `LOCKSTEP_SECRET_KEY`, and the edge key that follows from it',
      description:
        'Every control plane has to have that key beside the current one, and every expected edge as its first; who has not is named (409 `wrong_state`). What is sealed with older keys is sealed anew from then on; `keys` of `GET /v1/fleet` says what is left. Asked again meanwhile, it changes nothing.',
      tags: ['keys'],
      response: { 202: FleetKeysStatus, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      await rotate(originOf(request));
      return reply.code(202).send(status());
    },
  });
}
