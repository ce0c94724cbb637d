import type { PutSettings } from '@lockstep/contract';

/** The settings of the fleet as they stand, secrets opened. Kept current by the store's changes; defaults before the first PUT. */
export interface SettingsSource {
  current(): PutSettings;
  close(): void;
}
