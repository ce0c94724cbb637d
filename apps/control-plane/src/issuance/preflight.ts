import { addressOfHost, type ChallengeType, type DnsRequirement, type SeenDns } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { type CaaResult, checkCaa } from '../dns/caa.ts';
import type { Lookups } from '../dns/dns-lookup.ts';
import { findFleet } from '../dns/fleet-addresses.ts';
import { fleetTargets } from '../dns/fleet-targets.ts';
import { hostRequirements } from '../dns/host-requirements.ts';
import type { PersistRecords } from '../dns/persist-records.ts';
import { leadsToCdn, pointsHere } from '../dns/points-here.ts';
import { seeTraffic } from '../dns/see-traffic.ts';
import type { Zones } from '../dns/zones.ts';
import { type Issuer, IssuerFailure } from '../issuers/issuer.ts';
import type { IssuerRegistry } from '../issuers/issuer-registry.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { iso } from '../time/iso.ts';
import { type HostPolicy, readHostPolicy } from './host-context.ts';
import { checkPersist, noRecord, type PersistCheck } from './persist-check.ts';

export interface PreflightResult {
  ok: boolean;
  /** What is wrong, in a sentence; what was found, when all is well. */
  detail: string;
  /** The records that the host needs, those that are right too. */
  requirements: DnsRequirement[];
  /** What was found; null where nothing is looked up. */
  seen: SeenDns | null;
  /** The issuers of the chain that CAA allows and that may validate the host, in their order; all of them where nothing is checked. */
  issuers: string[];
}

/** Looks, without asking a CA, whether an order for a host could succeed. */
export interface Preflight {
  /** `policy`: what the routes of the host ask, where that and the settings have just been read. `before`: what the last look found; what this one does not come to is kept of it. Off, and so always ok, until the settings name edge addresses, save for records of dns-persist-01. Never throws for what the DNS says or does not say. */
  check(host: string, policy?: HostPolicy, before?: SeenDns | null): Promise<PreflightResult>;
}

export interface PreflightOptions {
  store: ConfigStore;
  settings: SettingsSource;
  registry: Pick<IssuerRegistry, 'find' | 'defaultChain'>;
  lookups: Lookups;
  zones: Zones;
  /** Of dns-persist-01. */
  records: Pick<PersistRecords, 'look'>;
  /** Hosts that control planes serve themselves: they need not lead to the edges. */
  ownHosts?: readonly string[] | undefined;
  now?: () => number;
}

export function createPreflight({
  store,
  settings,
  registry,
  lookups,
  zones,
  records,
  ownHosts = [],
  now = Date.now,
}: PreflightOptions): Preflight {
  async function persistOf(
    host: string,
    issuer: Issuer | null,
    challenge: ChallengeType | null,
  ): Promise<PersistCheck> {
    return issuer === null ? noRecord : checkPersist({ issuer, host, challenge }, records, now());
  }

  /** An address leads where it is: it has to be one of the fleet's. */
  async function addressOf(host: string, address: string, edgeAddresses: readonly string[]) {
    const { given, names } = fleetTargets(edgeAddresses);
    const { fleet, fleetFailure } = given.has(address)
      ? { fleet: { given: [address] }, fleetFailure: null }
      : await findFleet(lookups.current(), names);
    const ok = Object.values(fleet).some((all) => all.includes(address));
    const detail = ok
      ? `${host} is an address of the fleet`
      : fleetFailure !== null
        ? `${host} could not be checked: ${fleetFailure}`
        : `${host} is none of the fleet’s addresses, which are ${edgeAddresses.join(', ')} (edgeAddresses of the settings)`;
    return { ok, detail, seen: 'elsewhere' as const };
  }

  async function caaOf(
    host: string,
    issuer: Issuer | null,
    challenge: ChallengeType | null,
  ): Promise<CaaResult> {
    // There is no CAA for addresses (RFC 8738, section 5).
    if (addressOfHost(host) !== null) return notAsked;
    if (issuer === null) return notAsked; // told of where the issuer is chosen
    try {
      return await checkCaa(lookups.current(), host, await issuer.caa(host, challenge));
    } catch (error) {
      // A CA that cannot be asked what it is called is passed over when its turn comes, not here.
      if (error instanceof IssuerFailure || (error as Error).name === 'TimeoutError') return notAsked;
      throw error;
    }
  }

  // A name proven by DNS-01 need not lead to the edges for the CA, but it has to for clients: it is checked all the same.
  async function trafficOf(host: string, proxied: boolean, edgeAddresses: readonly string[]) {
    const address = addressOfHost(host);
    if (address !== null) return addressOf(host, address, edgeAddresses);
    if (ownHosts.includes(host))
      return { ok: true, detail: 'control planes serve this name themselves', seen: 'elsewhere' as const };
    const seen = proxied
      ? await seeTraffic(lookups.current(), host, [])
      : await seeTraffic(lookups.current(), host, edgeAddresses, zones);
    if (proxied) return { ...leadsToCdn(host, seen), seen: 'elsewhere' as const };
    const { ok, detail } = pointsHere(host, seen, edgeAddresses);
    return { ok, detail, seen };
  }

  return {
    async check(host, known, before) {
      const policy = known ?? (await Promise.all([readHostPolicy(store, host), settings.refresh()]))[0];
      const chain = policy.issuers ?? registry.defaultChain();
      const found = await Promise.all(chain.map((name) => registry.find(name)));
      const { edgeAddresses } = settings.current();
      const demands = { edgeAddresses, proxied: policy.proxied };
      const at = iso(now());
      const [traffic, persist] = await Promise.all([
        edgeAddresses.length === 0 ? notLooked : trafficOf(host, policy.proxied, edgeAddresses),
        Promise.all(found.map((issuer) => persistOf(host, issuer, policy.challenge))),
      ]);
      const challenge = persist.flatMap(({ seen }) => seen ?? []);
      const validated = chain.filter((_, index) => persist[index]?.allowed);
      const unproven = validated.length > 0 ? null : sentences(persist);
      if (edgeAddresses.length === 0) {
        const seen = challenge.length === 0 ? null : { at, traffic: null, caa: null, challenge };
        const requirements = hostRequirements(host, seen, demands);
        const detail = unproven ?? traffic.detail;
        return { ok: unproven === null, detail, requirements, seen, issuers: validated };
      }
      if (!traffic.ok) {
        // What a CA is called is asked of it, and none is asked for a host that does not lead here.
        const seen = { at, traffic: traffic.seen, caa: before?.caa ?? null, challenge };
        const requirements = hostRequirements(host, seen, demands);
        const detail = unproven === null ? traffic.detail : `${traffic.detail} Besides, ${unproven}`;
        return { ok: false, detail, requirements, seen, issuers: [] };
      }
      const answers = await Promise.all(found.map((issuer) => caaOf(host, issuer, policy.challenge)));
      const allowed = chain.filter((_, index) => answers[index]?.allowed);
      const issuers = allowed.filter((name) => validated.includes(name));
      // One record that allows one issuer is enough: that of the first that is allowed, or else of the first.
      const [caa = null] = answers
        .filter((answer) => answer.allowed === allowed.length > 0)
        .flatMap(({ requirement }) => requirement ?? []);
      const seen = { at, traffic: traffic.seen, caa, challenge };
      const requirements = hostRequirements(host, seen, demands);
      if (issuers.length > 0) return { ok: true, detail: traffic.detail, requirements, seen, issuers };
      // An issuer that is forbidden is told of, and one that could not validate the host.
      const refusals = chain.map((_, index) => (answers[index]?.allowed ? persist[index]! : answers[index]!));
      return { ok: false, detail: sentences(refusals), requirements, seen, issuers };
    },
  };
}

const notLooked = {
  ok: true,
  detail: 'DNS is not checked: the settings name no edge addresses',
  seen: null,
};

function sentences(all: { detail: string }[]): string {
  return [...new Set(all.map(({ detail }) => detail))].join('; ');
}

const notAsked: CaaResult = { allowed: true, detail: '', requirement: null };
