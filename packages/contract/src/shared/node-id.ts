/** Node ids go into addresses, keys and log lines as they are. */
export const nodeIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const nodeIdRule =
  'a node id has 1 to 64 letters, digits, dots, underscores and hyphens, and starts with a letter or digit';
