/** What there is to know of a kind of DNS provider beside its schema. */
export interface ProviderFacts {
  /** The field that is stored sealed and never shown. */
  secret: string;
  /** The fields that say whose the secret is: where one changes, a stored secret is not sent to whoever is there now. */
  owner: readonly string[];
  /** What the secret is, where nothing can be done without it; null: it can be left out. */
  why: string | null;
}
