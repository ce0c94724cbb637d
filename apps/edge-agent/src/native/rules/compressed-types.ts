/** Media types of what is text at heart, or as compressible. */
const usual = [
  'text/*',
  '*/*+json',
  '*/*+xml',
  '*/*+text',
  'application/json',
  'application/javascript',
  'application/x-javascript',
  'application/ecmascript',
  'application/xml',
  'application/manifest+json',
  'application/x-ndjson',
  'application/graphql',
  'application/rtf',
  'application/wasm',
  'application/vnd.ms-fontobject',
  'application/x-font-ttf',
  'application/x-protobuf',
  'application/geo+json',
  'font/ttf',
  'font/otf',
  'font/collection',
  'image/bmp',
  'image/x-icon',
  'image/vnd.microsoft.icon',
];

/** Never by a pattern: each event has to get out at once, and whoever compresses it has to mean it. */
const byNameAlone = new Set(['text/event-stream']);

/** Whether an answer of a type, as Content-Type has it, is to be compressed. */
export function compileTypes(types: readonly string[] = usual): (contentType: string) => boolean {
  const exact = new Set(types.filter((type) => !type.includes('*')));
  const patterns = types.filter((type) => type.includes('*')).map(toPattern);
  const known = new Map<string, boolean>();
  return (contentType) => {
    const end = contentType.indexOf(';');
    const type = (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
    let is = known.get(type);
    if (is === undefined) {
      is = exact.has(type) || (!byNameAlone.has(type) && patterns.some((pattern) => pattern.test(type)));
      if (known.size < 200) known.set(type, is);
    }
    return is;
  };
}

function toPattern(type: string): RegExp {
  const parts = type.split('*').map((part) => part.replace(/[.+^$]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]+')}$`);
}
