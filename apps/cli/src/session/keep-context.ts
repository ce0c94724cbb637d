import { configFolder } from './config-folder.ts';
import { type Context, readContexts, writeContexts } from './contexts.ts';

/** Makes or changes a context; the first is the current one. */
export function keepContext(name: string, context: Context): void {
  const folder = configFolder();
  const { current, contexts } = readContexts(folder);
  writeContexts(folder, { current: current ?? name, contexts: { ...contexts, [name]: context } });
}
