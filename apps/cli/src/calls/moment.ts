import { AppError } from '@lockstep/contract';

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** When that is, for what is a date, or so long ago as `1h`; null for what says it otherwise. Throws `bad_configuration` for a date that there is not. */
export function momentOf(text: string, flag: string, now: number): number | null {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * unitMs[unit as keyof typeof unitMs];
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return null;
  const moment = Date.parse(text);
  if (Number.isNaN(moment)) throw new AppError('bad_configuration', `${flag}: "${text}" is no date`);
  return moment;
}
