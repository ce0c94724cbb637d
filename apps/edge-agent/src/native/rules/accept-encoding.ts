/** Those that can be made, the one first that costs least for what it saves. */
const codings = ['zstd', 'br', 'gzip'] as const;
export type Coding = (typeof codings)[number];

/** The coding that a client likes best of those that can be made (RFC 9110, section 12.5.3); null: none, or as it is. */
export function chooseCoding(acceptEncoding: string | undefined): Coding | null {
  if (acceptEncoding === undefined || acceptEncoding === '') return null;
  const weights = new Map<string, number>();
  for (const part of acceptEncoding.split(',')) {
    const [name = '', ...parameters] = part.split(';');
    const coding = name.trim().toLowerCase();
    if (coding !== '') weights.set(coding === 'x-gzip' ? 'gzip' : coding, weightOf(parameters));
  }
  const others = weights.get('*');
  let best: Coding | null = null;
  let most = weights.get('identity') ?? 0;
  for (const coding of codings) {
    const weight = weights.get(coding) ?? others ?? 0;
    // Between equals the first: and a client that likes the plain form as much takes either.
    if (weight > most || (best === null && weight > 0 && weight === most)) {
      best = coding;
      most = weight;
    }
  }
  return best;
}

/** 1 where it says nothing; 0 for what cannot be read. */
function weightOf(parameters: string[]): number {
  for (const parameter of parameters) {
    const [, weight] = /^\s*q\s*=\s*(\S*)\s*$/i.exec(parameter) ?? [];
    if (weight !== undefined) return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight) : 0;
  }
  return 1;
}
