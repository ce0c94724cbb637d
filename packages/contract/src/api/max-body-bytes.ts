/** The largest body that the API takes. */
export const maxBodyBytes = 1_048_576;
