// Plain JavaScript for any Node from 20 on: lockstep.js imports it.
import module from 'node:module';
import { join } from 'node:path';

/**
 * What Node compiles (types stripped, too) is kept in node_modules/.cache, for this process and those that it starts. It goes by each
 * file's contents, so an edit takes effect at once; where the folder cannot be written, all is compiled anew each time.
 */
export function keepCompiled(root) {
  process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'lockstep', 'compiled');
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
}
