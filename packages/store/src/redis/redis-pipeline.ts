import type { ChainableCommander, Redis } from 'ioredis';

/** Sends commands together, and gives their answers; throws the first error among them. In a Cluster all go to one server. */
export async function pipelined(
  redis: Redis,
  fill: (pipeline: ChainableCommander) => unknown,
): Promise<unknown[]> {
  const pipeline = redis.pipeline();
  fill(pipeline);
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error, answer]) => {
    if (error !== null) throw error;
    return answer;
  });
}
