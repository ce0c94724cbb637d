import { AppError, isWithinSuffixes } from '@lockstep/contract';
import type { Access } from './access.ts';

/** What alone a token reaches: the things of one tenant, and names below some. */
export type Bounds = Pick<Access, 'tenant' | 'hostSuffixes'>;

/** Undefined where a token reaches everything. */
export function boundsOf({ tenant, hostSuffixes }: Access): Bounds | undefined {
  return tenant === null && hostSuffixes === null ? undefined : { tenant, hostSuffixes };
}

/** Whether something of this tenant (undefined: of none) is to be seen within the bounds. */
export function isOwn(bounds: Bounds | undefined, tenant: string | undefined): boolean {
  return bounds === undefined || bounds.tenant === null || bounds.tenant === tenant;
}

/** The tenant of what is written. Throws `forbidden` for another than the token's. */
export function ownTenant(
  bounds: Bounds | undefined,
  tenant: string | undefined,
  pointer = '/tenant',
): string | undefined {
  if (bounds === undefined || bounds.tenant === null) return tenant;
  if (tenant === undefined || tenant === bounds.tenant) return bounds.tenant;
  throw beyondToken(pointer, `has to be "${bounds.tenant}", that of the token; or leave it out`);
}

/** Throws `forbidden` for a host that the token is not for. */
export function requireSuffix(bounds: Bounds | undefined, host: string, pointer: string): void {
  const suffixes = bounds?.hostSuffixes ?? null;
  if (suffixes === null || isWithinSuffixes(host, suffixes)) return;
  throw beyondToken(pointer, `"${host}" is neither one of the token’s hostSuffixes nor below one`);
}

/** A field that asks for more than the token is for. */
export function beyondToken(pointer: string, detail: string): AppError {
  return new AppError('forbidden', pointer === '' ? detail : `${pointer}: ${detail}`, {
    errors: [{ pointer, detail }],
  });
}
