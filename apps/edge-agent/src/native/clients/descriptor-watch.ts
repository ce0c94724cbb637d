import { close, open } from 'node:fs';

export interface DescriptorWatch {
  /** Looks whether one more descriptor can be had. To be called now and then. */
  check(): void;
}

/**
 * Accepting a connection fails without a word when the process or the machine has no descriptor left: libuv takes the connection and
 * ends it. So the watch asks for one, and gives it back.
 */
export function createDescriptorWatch({ onNone }: { onNone(): void }): DescriptorWatch {
  return {
    check() {
      open('/dev/null', 'r', (error, descriptor) => {
        if (error === null) close(descriptor, () => {});
        else if (error.code === 'EMFILE' || error.code === 'ENFILE') onNone();
      });
    },
  };
}
