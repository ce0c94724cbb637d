import { edgeKinds } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Feed } from './feed.ts';

/** A feed straight from the store. Closing it closes the store. */
export function createStoreFeed(store: ConfigStore): Feed {
  return {
    follow: (from, options) => store.follow(from, { kinds: edgeKinds, ...options }),
    report: (report) => store.reportNode(report),
    leave: (node, instance, stop) => store.removeNode(node, instance, stop),
    sendHint: (hint) => store.sendHint(hint),
    watchHints: (listener) => store.watchHints(listener),
    close: () => store.close(),
  };
}
