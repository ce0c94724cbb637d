import {
  type EdgeTls,
  edgeSettingsId,
  edgeSettingsOf,
  type PatchSettings,
  recordKey,
  type Settings,
  type SettingsRecord,
  type StoredRecord,
  settingsId,
} from '@lockstep/contract';
import { PutSettings } from '@lockstep/contract/schemas';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import { checkIssuers } from '../issuers/issuer-chain.ts';
import { checkDnsProvider } from '../issuers/issuer-rules.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { keepProviderSecret, openSecrets, sealSecrets, splitProvider } from '../issuers/secret-fields.ts';
import type { Denied } from '../outbound/denied.ts';
import { iso } from '../time/iso.ts';
import { invalidField, toInvalidRequest } from '../validation/invalid-field.ts';
import { mergePatch } from '../validation/merge-patch.ts';
import { sameJson } from '../validation/same-json.ts';
import { normaliseSettings } from './normalise-settings.ts';

export const settingsKey = recordKey('settings', settingsId);

/** The settings of the fleet, as the API shows and changes them. A change that changes nothing makes no commit. */
export interface SettingsService {
  view(): Promise<Settings>;
  /** Replaces them: what is left out goes back to its default, but for the provider's secret. Throws `invalid_request`. */
  put(origin: WriteOrigin, body: PutSettings): Promise<void>;
  /** Merges a patch into them (RFC 7396). Throws `invalid_request`. */
  patch(origin: WriteOrigin, patch: PatchSettings): Promise<void>;
}

export interface SettingsServiceOptions {
  store: ConfigStore;
  sealer: Sealer;
  known: KnownIssuers;
  /** Left out, addresses are taken as they come. */
  denied?: Pick<Denied, 'check'>;
  now?: () => number;
}

export function createSettingsService({
  store,
  sealer,
  known,
  denied,
  now = Date.now,
}: SettingsServiceOptions): SettingsService {
  async function write(
    origin: WriteOrigin,
    edit: (current: PutSettings | null) => PutSettings,
  ): Promise<void> {
    await writeInTurn(store, [settingsKey], async () => {
      const record = await store.get('settings', settingsId);
      const wanted = normaliseSettings(edit(record?.value.config ?? null));
      refuseDenied(wanted);
      await refuseUnknownCertificate(wanted.edge.tls);
      const { checks } = await checkIssuers(known, wanted.issuers ?? []);
      const next = complete(wanted, record);
      origin.condition?.(record?.revision ?? 0);
      if (record !== null && sameJson(next, { config: record.value.config, secret: secretOf(record) }))
        return;
      await commit(store, {
        ...origin,
        checks: [{ kind: 'settings', id: settingsId, revision: record?.revision ?? null }, ...checks],
        changes: [
          { op: 'put', kind: 'settings', id: settingsId, value: sealed(next) },
          { op: 'put', kind: 'edge-settings', id: edgeSettingsId, value: edgeSettingsOf(next.config) },
        ],
      });
    });
  }

  async function refuseUnknownCertificate({ noSniCertificate }: EdgeTls): Promise<void> {
    if (noSniCertificate === undefined) return;
    if ((await store.get('certificate', noSniCertificate)) !== null) return;
    throw invalidField(
      '/edge/tls/noSniCertificate',
      `there is no certificate "${noSniCertificate}"; GET /v1/certificates lists them by id`,
    );
  }

  function refuseDenied({ onDemand, edge }: PutSettings): void {
    if (denied === undefined || onDemand === null) return;
    denied.check(onDemand.ask, '/onDemand/ask', edge.deny);
    for (const [index, { url }] of onDemand.upstreams.entries()) {
      denied.check(url, `/onDemand/upstreams/${index}/url`, edge.deny);
    }
  }

  /** The settings without the provider's secret, and that secret: the one given, or the one kept. */
  function complete(
    { dnsProvider, ...config }: PutSettings,
    before: StoredRecord<'settings'> | null,
  ): { config: PutSettings; secret: string | undefined } {
    if (dnsProvider === undefined) return { config, secret: undefined };
    const next = splitProvider(dnsProvider);
    const secret = keepProviderSecret(next, before === null ? null : providerOf(before));
    checkDnsProvider(next.config, secret, '/dnsProvider');
    return { config: { ...config, dnsProvider: next.config }, secret };
  }

  function sealed({ config, secret }: { config: PutSettings; secret: string | undefined }): SettingsRecord {
    const sealedSecrets = sealSecrets(sealer, { dnsProvider: secret }, settingsKey);
    return { config, sealedSecrets, updatedAt: iso(now()) };
  }

  /** The default chain is shown where none was set: put back, it is still none. */
  function withoutShownChain(body: PutSettings, current: PutSettings | null): PutSettings {
    const shown = current?.issuers === undefined && sameJson(body.issuers ?? null, known.defaultChain);
    return shown ? { ...body, issuers: undefined } : body;
  }

  function secretOf({ value }: StoredRecord<'settings'>): string | undefined {
    return openSecrets(sealer, value.sealedSecrets, settingsKey).dnsProvider;
  }

  function providerOf(record: StoredRecord<'settings'>) {
    const { dnsProvider } = record.value.config;
    return dnsProvider === undefined ? null : { config: dnsProvider, secret: secretOf(record) };
  }

  return {
    async view() {
      const record = await store.get('settings', settingsId);
      const config = { ...defaultSettings(), ...record?.value.config };
      return {
        issuers: config.issuers ?? known.defaultChain,
        edgeAddresses: config.edgeAddresses,
        ownership: config.ownership,
        resolvers: config.resolvers,
        authoritativeServers: config.authoritativeServers,
        dnsProvider: config.dnsProvider ?? null,
        onDemand: config.onDemand,
        edge: config.edge,
        liveNeeds: config.liveNeeds,
        forgetNodesAfter: config.forgetNodesAfter,
        durability: config.durability,
        journal: config.journal,
        events: config.events,
        webhookTargets: config.webhookTargets,
        waitingShare: config.waitingShare,
        revision: record?.revision ?? null,
      };
    },
    put: (origin, body) => write(origin, (current) => withoutShownChain(body, current)),
    patch: (origin, patch) =>
      write(origin, (current) => {
        const merged = PutSettings.safeParse(mergePatch(withoutOtherProvider(current ?? {}, patch), patch));
        if (!merged.success) throw toInvalidRequest(merged.error);
        return merged.data;
      }),
  };
}

/** A provider of another type takes nothing over: the url of a webhook must not become where a token of Cloudflare is sent. */
function withoutOtherProvider(current: Partial<PutSettings>, patch: PatchSettings): Partial<PutSettings> {
  const { dnsProvider, ...others } = current;
  const { type } = Object(patch.dnsProvider);
  return type === undefined || type === dnsProvider?.type ? current : others;
}

/** What holds before anything was put. */
export function defaultSettings(): PutSettings {
  return PutSettings.parse({});
}
