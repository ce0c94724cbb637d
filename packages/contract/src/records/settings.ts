import type { PutSettings } from '../api/settings.ts';
import { recordKind } from './kind-module.ts';

/** The one record of its kind. */
export const settingsId = 'settings';

/** The settings as control planes keep them: the provider's secret sealed with `settings/settings`. `EdgeSettingsRecord` is what edges get. */
export interface SettingsRecord {
  config: PutSettings;
  sealedSecrets: string | null;
  updatedAt: string;
}

export const settings = recordKind<SettingsRecord>()({
  kind: 'settings',
  audience: 'control',
  version: 1,
  secret: { sealedSecrets: 'control' },
  journal: () => true,
});
