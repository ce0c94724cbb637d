import { createRequire } from 'node:module';
import type * as undici from 'undici';

const require = createRequire(import.meta.url);

/** undici's client alone: the rest (fetch, WebSocket, caches, mocks) would cost each worker 14 MB and a third of its start. */
export const Client: typeof undici.Client = require('undici/lib/dispatcher/client.js');
export type Client = undici.Client;

/** What a client connects by. */
export const buildConnector: typeof undici.buildConnector = require('undici/lib/core/connect.js');
