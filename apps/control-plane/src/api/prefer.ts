import { AppError } from '@lockstep/contract';

const maxWaitSeconds = 300;

/**
 * The seconds of `Prefer: wait=N` (RFC 7240, section 4.3), capped at 300; null without one. Preferences that are not known are
 * ignored, as section 2 asks; a wait that is not a number is refused, since the caller would take the answer for another.
 */
export function parseWait(header: string | string[] | undefined): number | null {
  const preferences = [header ?? []].flat().join(',').split(',');
  for (const preference of preferences) {
    const [name, value] = (preference.split(';')[0] ?? '').split('=').map((part) => part.trim());
    if (name?.toLowerCase() !== 'wait') continue;
    const digits = value?.replace(/^"(.*)"$/, '$1') ?? '';
    if (!/^\d{1,9}$/.test(digits)) {
      const detail = 'Prefer: wait needs whole seconds, as in wait=60';
      throw new AppError('invalid_request', detail, { errors: [{ pointer: 'Prefer', detail }] });
    }
    return Math.min(maxWaitSeconds, Number(digits));
  }
  return null;
}
