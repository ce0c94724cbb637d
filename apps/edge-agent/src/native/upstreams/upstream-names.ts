import { createUpstreamName, type NameSource, type UpstreamName } from './upstream-name.ts';

type OnChange = (addresses: ReadonlySet<string>) => void;

/** The names of a worker's upstreams, each looked up once however many use it. */
export interface UpstreamNames {
  /** `onChange` is told when the name stands for others than it did. */
  acquire(hostname: string, onChange: OnChange): UpstreamName;
  release(hostname: string, onChange: OnChange): void;
  close(): void;
}

export function createUpstreamNames(source?: NameSource): UpstreamNames {
  const all = new Map<string, { name: UpstreamName; users: Set<OnChange> }>();

  return {
    acquire(hostname, onChange) {
      let held = all.get(hostname);
      if (held === undefined) {
        const users = new Set<OnChange>();
        const name = createUpstreamName(hostname, (now) => users.forEach((tell) => void tell(now)), source);
        held = { name, users };
        all.set(hostname, held);
      }
      held.users.add(onChange);
      return held.name;
    },
    release(hostname, onChange) {
      const held = all.get(hostname);
      if (held === undefined) return;
      held.users.delete(onChange);
      if (held.users.size > 0) return;
      held.name.close();
      all.delete(hostname);
    },
    close() {
      for (const { name } of all.values()) name.close();
      all.clear();
    },
  };
}
