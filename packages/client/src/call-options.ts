export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** `exactOptionalPropertyTypes` tells a signal that is undefined from none. */
export function given(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
