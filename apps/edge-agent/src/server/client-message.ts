import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ClientStream } from './client-stream.ts';

/** Over HTTP/2 both are the same object. */
export type ClientRequest = IncomingMessage | ClientStream;
export type ClientResponse = ServerResponse | ClientStream;
