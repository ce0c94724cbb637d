/** The parts behind the API, for a server of which none is called. */
export const unusedParts = {
  system: {},
  resources: {
    routes: {},
    certificates: {},
    issuers: {},
    settings: {},
    nodes: {},
    keys: {},
    tokens: {},
    audit: {},
    authority: {},
    events: {},
    webhooks: {},
  },
};
