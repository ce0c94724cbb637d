import { z } from 'zod';

const ms = (most: number) => z.int().min(1).max(most).optional();

export const RouteTimeouts = z
  .strictObject({
    connectMs: ms(300_000).describe('For a connection to an upstream; then the next upstream, else 504'),
    firstByteMs: ms(3_600_000).describe('For the final head of an answer; then 504'),
    idleMs: ms(86_400_000).describe(
      'Between two parts of an answer’s body, or while neither end of an upgraded connection sends; then it breaks off',
    ),
    totalMs: ms(86_400_000).describe(
      'From the request to the last byte of its answer; then 504, or a broken answer. Upgraded connections are not held to it',
    ),
  })
  .meta({ id: 'RouteTimeouts', description: 'What is left out is as `settings.edge.timeouts` says' });
export type RouteTimeouts = z.infer<typeof RouteTimeouts>;
