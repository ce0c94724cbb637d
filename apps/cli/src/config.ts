/**
 * Makes the environment mean what its writer meant before commander reads it: an empty `LOCKSTEP_…` variable (as compose
 * passes it) counts as not set, and a switch can be set to `0` or `false`.
 */
export function tidyEnvironment(env: NodeJS.ProcessEnv = process.env): void {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('LOCKSTEP_')) continue;
    if (value === '' || (switches.has(name) && /^(0|false|no|off)$/i.test(value ?? ''))) delete env[name];
  }
}

const switches = new Set(['LOCKSTEP_DEMO', 'LOCKSTEP_NEW_STORE', 'LOCKSTEP_RESTORED']);

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** The secrets that `lockstep up` takes from the environment rather than makes; null where they are not set. */
export function readSecrets(env: NodeJS.ProcessEnv = process.env) {
  return { secretKey: env.LOCKSTEP_SECRET_KEY ?? null, adminToken: env.LOCKSTEP_ADMIN_TOKEN ?? null };
}

/** Where the API is, and who asks, as far as the environment says. */
export function readApiEnvironment(env: NodeJS.ProcessEnv = process.env) {
  return {
    api: env.LOCKSTEP_API ?? null,
    // Of two admin tokens, while one is changed, either does.
    token: env.LOCKSTEP_TOKEN ?? env.LOCKSTEP_ADMIN_TOKEN?.split(',', 1)[0] ?? null,
    tokenFrom: env.LOCKSTEP_TOKEN === undefined ? 'LOCKSTEP_ADMIN_TOKEN' : 'LOCKSTEP_TOKEN',
    context: env.LOCKSTEP_CONTEXT ?? null,
    configDir: env.LOCKSTEP_CONFIG_DIR ?? null,
  };
}

/** What opens a text to be edited, as other programs choose it; null where nobody has chosen. */
export function editorCommand(env: NodeJS.ProcessEnv = process.env): string | null {
  return env.VISUAL || env.EDITOR || null;
}
