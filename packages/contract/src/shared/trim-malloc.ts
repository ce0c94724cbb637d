interface Ffi {
  dlopen(
    path: string,
    definitions: Record<string, { arguments: string[]; return: string }>,
  ): { functions: { malloc_trim(pad: bigint): number } };
}

let trim: ((pad: bigint) => number) | null | undefined;

/**
 * Gives the operating system back what the C library holds free: buffers of sockets, of TLS, of HTTP/2. It keeps that for ever where anything
 * that lives lies above it. About a sixth of a millisecond for each megabyte. Does nothing where the C library is another than glibc.
 */
export function trimMalloc(): void {
  if (trim === undefined) trim = loadTrim();
  trim?.(0n);
}

function loadTrim(): typeof trim {
  if (process.platform !== 'linux') return null;
  // Node warns of what it may still change. It is pinned, and a test says whether this works.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    const ffi = process.getBuiltinModule('node:ffi' as 'node:fs') as unknown as Ffi;
    const found = ffi.dlopen('libc.so.6', { malloc_trim: { arguments: ['uint64'], return: 'int32' } });
    return found.functions.malloc_trim;
  } catch {
    return null;
  } finally {
    process.emitWarning = emitWarning;
  }
}
