/** A name as it is put into the panel of its zone: without the zone's name, and empty for the zone itself. Null for what is not in the zone. */
export function relativeName(name: string, zone: string): string | null {
  if (name === zone) return '';
  return name.endsWith(`.${zone}`) ? name.slice(0, -zone.length - 1) : null;
}
