import type { WriteOrigin } from '../src/changes/writes.ts';

/** Whose changes are, which a test makes as a request of the API would. */
export const byAdmin: WriteOrigin = { by: { kind: 'token', name: 'admin' }, requestId: 'request-1' };
