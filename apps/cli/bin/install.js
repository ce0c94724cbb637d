// `npm start` and `npm test` begin here: installs what package-lock.json names and is not there yet.
import { fileURLToPath } from 'node:url';
import { installDependencies } from './dependencies.js';

process.exitCode = installDependencies(fileURLToPath(new URL('../../..', import.meta.url)));
