import type { Kind } from '@lockstep/contract';

/** The claims by which what belongs to a tenant is found, by kind and in the order of ids. */
export function tenantClaims(
  kind: Extract<Kind, 'route' | 'certificate'>,
  id: string,
  tenant: string | undefined,
): string[] {
  return tenant === undefined ? [] : [`${tenantClaimPrefix(kind, tenant)}${id}`];
}

export function tenantClaimPrefix(kind: Extract<Kind, 'route' | 'certificate'>, tenant: string): string {
  return `tenant ${tenant} ${kind} `;
}
