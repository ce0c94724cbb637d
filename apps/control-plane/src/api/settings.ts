import { PatchSettings, Problem, PutSettings, Settings } from '@lockstep/contract/schemas';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { SettingsService } from '../settings/settings-service.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { mergePatchType, nullsLeftOut, withoutShown } from './json-body.ts';
import { needs } from './needs.ts';
import { originOf } from './request-origin.ts';

const response = { 200: Settings, '4xx': Problem, '5xx': Problem };
const tags = ['settings'];
const body = z.preprocess((given) => nullsLeftOut(withoutShown(given, ['revision'])), PutSettings);
const config = { conditional: true } as const;

export interface SettingsApiOptions {
  service: SettingsService;
}

export function settingsApi(app: ApiInstance, { service }: SettingsApiOptions): void {
  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<Settings> {
    const settings = await service.view();
    tag(request, reply, settings.revision);
    return settings;
  }

  app.get('/settings', {
    config,
    schema: {
      operationId: 'getSettings',
      security: needs('settings:read'),
      summary: 'Get the settings of the fleet',
      description: '`issuers` is the chain in force. What is shown can be put back.',
      tags,
      response,
    },
    handler: answer,
  });

  app.put('/settings', {
    config,
    schema: {
      operationId: 'putSettings',
      security: needs('settings:write'),
      summary: 'Replace the settings of the fleet',
      description:
        'What is left out, or null, goes back to its default. The secret of `dnsProvider` is kept when it is left out and the provider’s account is the same.',
      tags,
      body,
      response,
    },
    async handler(request, reply) {
      await service.put(originOf(request), request.body);
      return answer(request, reply);
    },
  });

  app.patch('/settings', {
    config,
    schema: {
      operationId: 'patchSettings',
      security: needs('settings:write'),
      summary: 'Change some settings of the fleet (RFC 7396)',
      description:
        'Also within `onDemand`, `edge`, and a `dnsProvider` of the same type; null is the default again.',
      tags,
      consumes: ['application/json', mergePatchType],
      body: PatchSettings,
      response,
    },
    async handler(request, reply) {
      await service.patch(originOf(request), request.body);
      return answer(request, reply);
    },
  });
}
