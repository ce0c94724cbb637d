import type { DnsRequirement } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { type CaaResult, checkCaa } from '../dns/caa.ts';
import type { Lookups } from '../dns/dns-lookup.ts';
import { checkLeadsToCdn, checkPointsHere } from '../dns/points-here.ts';
import { IssuerFailure } from '../issuers/issuer.ts';
import type { IssuerRegistry } from '../issuers/issuer-registry.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { type HostPolicy, readHostPolicy } from './host-context.ts';

export interface PreflightResult {
  ok: boolean;
  /** What is wrong, in a sentence; what was found, when all is well. */
  detail: string;
  requirements: DnsRequirement[];
  /** The issuers of the chain that CAA allows, in their order; all of them where nothing is checked. */
  issuers: string[];
}

/** Looks, without asking a CA, whether an order for a host could succeed. */
export interface Preflight {
  /** `policy`: what the routes of the host ask, where that and the settings have just been read. Off, and so always ok, until the settings name edge addresses. Never throws for what the DNS says or does not say. */
  check(host: string, policy?: HostPolicy): Promise<PreflightResult>;
}

export interface PreflightOptions {
  store: ConfigStore;
  settings: SettingsSource;
  registry: Pick<IssuerRegistry, 'find' | 'defaultChain'>;
  lookups: Lookups;
  /** Hosts that control planes serve themselves: they need not lead to the edges. */
  ownHosts?: readonly string[] | undefined;
}

export function createPreflight({
  store,
  settings,
  registry,
  lookups,
  ownHosts = [],
}: PreflightOptions): Preflight {
  async function caaOf(host: string, name: string): Promise<CaaResult> {
    const issuer = await registry.find(name);
    if (issuer === null) return notAsked; // told of where the issuer is chosen
    try {
      return await checkCaa(lookups.current(), host, await issuer.caa(host));
    } catch (error) {
      // A CA that cannot be asked what it is called is passed over when its turn comes, not here.
      if (error instanceof IssuerFailure || (error as Error).name === 'TimeoutError') return notAsked;
      throw error;
    }
  }

  return {
    async check(host, known) {
      const policy = known ?? (await Promise.all([readHostPolicy(store, host), settings.refresh()]))[0];
      const chain = policy.issuers ?? registry.defaultChain();
      const { edgeAddresses } = settings.current();
      if (edgeAddresses.length === 0)
        return {
          ok: true,
          detail: 'DNS is not checked: the settings name no edge addresses',
          requirements: [],
          issuers: chain,
        };
      // A name proven by DNS-01 need not lead to the edges for the CA, but it has to for clients: it is checked all the same.
      const pointsHere = ownHosts.includes(host)
        ? { ok: true, detail: 'control planes serve this name themselves', requirements: [] }
        : policy.proxied
          ? await checkLeadsToCdn(lookups.current(), host)
          : await checkPointsHere(lookups.current(), host, edgeAddresses);
      if (!pointsHere.ok)
        return { ok: false, detail: pointsHere.detail, requirements: pointsHere.requirements, issuers: [] };
      const answers = await Promise.all(chain.map((name) => caaOf(host, name)));
      const issuers = chain.filter((_, index) => answers[index]?.allowed);
      if (issuers.length > 0) return { ok: true, detail: pointsHere.detail, requirements: [], issuers };
      const detail = [...new Set(answers.map((answer) => answer.detail))].join('; ');
      // One record that allows one issuer is enough: that of the first.
      const [requirement] = answers.flatMap((answer) => answer.requirement ?? []);
      return { ok: false, detail, requirements: requirement === undefined ? [] : [requirement], issuers: [] };
    },
  };
}

const notAsked: CaaResult = { allowed: true, detail: '', requirement: null };
