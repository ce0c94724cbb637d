import { PatchSettings, Problem, PutSettings, Settings } from '@lockstep/contract/schemas';
import { z } from 'zod';
import type { SettingsService } from '../settings/settings-service.ts';
import type { ApiInstance } from './api-instance.ts';
import { mergePatchType, nullsLeftOut } from './json-body.ts';
import { needs } from './needs.ts';
import { originOf } from './request-origin.ts';

const response = { 200: Settings, '4xx': Problem, '5xx': Problem };
const tags = ['settings'];
const body = z.preprocess(nullsLeftOut, PutSettings);

export interface SettingsApiOptions {
  service: SettingsService;
}

export function settingsApi(app: ApiInstance, { service }: SettingsApiOptions): void {
  app.get('/settings', {
    schema: {
      operationId: 'getSettings',
      security: needs('settings:read'),
      summary: 'Get the settings of the fleet',
      description: '`issuers` is the chain in force. What is shown can be put back without `revision`.',
      tags,
      response,
    },
    handler: async () => service.view(),
  });

  app.put('/settings', {
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
    async handler(request) {
      await service.put(originOf(request), request.body);
      return service.view();
    },
  });

  app.patch('/settings', {
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
    async handler(request) {
      await service.patch(originOf(request), request.body);
      return service.view();
    },
  });
}
