import envPaths from 'env-paths';
import { readApiEnvironment } from '../config.ts';

/** The folder of the user's configuration, as the system has it: `~/.config/lockstep` on Linux, or below XDG_CONFIG_HOME. */
export function configFolder(): string {
  return readApiEnvironment().configDir ?? envPaths('lockstep', { suffix: '' }).config;
}
