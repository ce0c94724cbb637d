import {
  type FaultyFront,
  freePort,
  startDealer,
  startFaultyFront,
  startPebble,
  startUpstream,
} from '@lockstep/testkit';
import type t from 'tap';
import { type FleetOptions, startFleet } from './start-fleet.ts';

export interface PebbleFleetOptions extends FleetOptions {
  /** `host:port` of a DNS of the test's own for Pebble. */
  dnsServer?: string;
  /** Puts a front before Pebble that fails when told. */
  faulty?: boolean;
}

/**
 * A fleet of two edges whose control planes order from a Pebble (issuer `acme`), which is dealt to the edges in turn when it validates. `front`
 * has to be asked for.
 */
export async function startPebbleFleet(test: Pick<typeof t, 'teardown'>, options: PebbleFleetOptions) {
  const { dnsServer, faulty = false, ...fleetOptions } = options;
  const upstream = await startUpstream();
  test.teardown(() => upstream.close());
  const httpPorts = [await freePort(), await freePort()];
  const dealer = await startDealer({ ports: httpPorts });
  test.teardown(() => dealer.close());
  const pebble = await startPebble({ httpPort: dealer.port, ...(dnsServer !== undefined && { dnsServer }) });
  test.teardown(() => pebble.close());
  let front: FaultyFront | null = null;
  if (faulty) {
    front = await startFaultyFront({ pebble });
    test.teardown(() => front?.close());
  }
  const { directory, rootFile } = front ?? pebble;
  const acme = {
    LOCKSTEP_ACME_DIRECTORY: directory,
    LOCKSTEP_ACME_CA_FILE: rootFile,
    LOCKSTEP_ACME_EMAIL: 'ops@example.com',
  };
  const fleet = await startFleet(test, { ...fleetOptions, acme, httpPorts });
  return {
    fleet,
    pebble,
    upstream,
    get front(): FaultyFront {
      if (front === null) throw new Error('there is no front');
      return front;
    },
  };
}
