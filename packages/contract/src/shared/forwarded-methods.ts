let known: ReadonlySet<string> | null = null;

/** The methods that edges forward: those that Node's parser knows, over both protocols. SOURCE is no HTTP but Icecast's, CONNECT has no path. */
export function forwardedMethods(): ReadonlySet<string> {
  if (known === null) {
    const methods = new Set(process.getBuiltinModule('node:http').METHODS);
    methods.delete('SOURCE');
    methods.delete('CONNECT');
    known = methods;
  }
  return known;
}
