import type { ChainableCommander, Redis } from 'ioredis';

/**
 * Sends commands together, and gives their answers; throws the first error among them. In a Cluster all go to one server.
 * `orNull`: null where a key is of another type than its command takes, so that it hides no other.
 */
export async function pipelined(
  redis: Redis,
  fill: (pipeline: ChainableCommander) => unknown,
  { orNull = false }: { orNull?: boolean } = {},
): Promise<unknown[]> {
  const pipeline = redis.pipeline();
  fill(pipeline);
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error, answer]) => {
    if (orNull && error?.message.startsWith('WRONGTYPE')) return null;
    if (error !== null) throw error;
    return answer;
  });
}
