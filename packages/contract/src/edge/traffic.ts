import { isCount, isFields } from '../shared/fields.ts';
import { durationBuckets } from './durations.ts';

/** Over how many minutes an edge tells what it has served of a route. */
export const trafficMinutes = [1, 5, 60] as const;

/** What was served of one route in some time. */
export interface Traffic {
  requests: number;
  /** Answers of 500 and above. */
  errors: number;
  /** Of bodies, from clients and to them. */
  bytesIn: number;
  bytesOut: number;
  /** How many answers took how long, by `durationBucket`. */
  durations: number[];
}

export function noTraffic(): Traffic {
  return { requests: 0, errors: 0, bytesIn: 0, bytesOut: 0, durations: new Array(durationBuckets).fill(0) };
}

export function addTraffic(sum: Traffic, more: Traffic): void {
  sum.requests += more.requests;
  sum.errors += more.errors;
  sum.bytesIn += more.bytesIn;
  sum.bytesOut += more.bytesOut;
  for (let i = 0; i < durationBuckets; i += 1) sum.durations[i]! += more.durations[i]!;
}

/** Of each of `trafficMinutes`. */
export function sumOfTraffic(all: readonly (readonly Traffic[])[]): Traffic[] {
  return trafficMinutes.map((_, i) => {
    const sum = noTraffic();
    for (const one of all) addTraffic(sum, one[i]!);
    return sum;
  });
}

/** Of whoever says it is an edge. */
export function isTraffic(given: unknown): given is Traffic[] {
  return Array.isArray(given) && given.length === trafficMinutes.length && given.every(isOne);
}

function isOne(given: unknown): given is Traffic {
  if (!isFields(given)) return false;
  const { requests, errors, bytesIn, bytesOut, durations } = given;
  return (
    [requests, errors, bytesIn, bytesOut].every(isCount) &&
    Array.isArray(durations) &&
    durations.length === durationBuckets &&
    durations.every(isCount)
  );
}
