import { createDeniedAddresses, type DeniedAddresses, type OwnService } from '@lockstep/pki/denied-addresses';

/** Where no upstream may lead, by settings that may have changed; worked out once for each. */
export function createDeniedNow(
  deny: () => readonly string[],
  ownServices: readonly OwnService[],
): () => DeniedAddresses {
  let by: readonly string[] | null = null;
  let services = 0;
  let denied: DeniedAddresses;
  return () => {
    const now = deny();
    if (now !== by || ownServices.length !== services) {
      by = now;
      services = ownServices.length;
      denied = createDeniedAddresses(now, ownServices);
    }
    return denied;
  };
}
