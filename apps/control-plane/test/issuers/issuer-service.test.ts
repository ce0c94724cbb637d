import { createSealer, generateSecretKey } from '@lockstep/pki';
import t from 'tap';
import { createIssuerService } from '../../src/issuers/issuer-service.ts';
import { createKnownIssuers } from '../../src/issuers/known-issuers.ts';
import { createSettingsService } from '../../src/settings/settings-service.ts';
import { byAdmin } from '../by-admin.ts';
import { openMeetingStore } from '../meeting-store.ts';

t.test('of an issuer deleted and named by the settings at once, one is refused', async (t) => {
  for (const order of ['delete first', 'settings first']) {
    const { store, meet } = await openMeetingStore(t);
    const sealer = createSealer(generateSecretKey());
    const known = createKnownIssuers({ store, acme: null, rootsPem: null });
    const issuers = createIssuerService({ store, sealer, known, findAccountUrl: async () => null });
    const settings = createSettingsService({ store, sealer, known });
    await issuers.put(byAdmin, 'short', { type: 'internal', lifetimeHours: 24, keyType: 'ecdsa-p256' });
    meet();
    const remove = () => issuers.remove(byAdmin, 'short');
    const name = () => settings.patch(byAdmin, { issuers: ['short'] });
    const outcomes = await Promise.allSettled(
      (order === 'delete first' ? [remove, name] : [name, remove]).map((run) => run()),
    );
    t.strictSame(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], order);
    const refused = outcomes.find((outcome) => outcome.status === 'rejected');
    t.match(refused?.reason, { code: /^(in_use|invalid_request)$/ });
    const named = (await settings.view()).issuers[0] ?? '';
    t.not((await known.getMany([named]))[0], null, 'the chain is whole');
  }
});
