/** What was looked at, how it was found, and, where it is wrong, what to do. */
export interface Finding {
  what: string;
  /** `note`: it could not be looked at from here, or is worth knowing; nothing has to be done. */
  verdict: 'ok' | 'wrong' | 'note';
  detail: string;
  hint?: string | undefined;
}

export function ok(what: string, detail: string): Finding {
  return { what, verdict: 'ok', detail };
}

export function wrong(what: string, detail: string, hint?: string): Finding {
  return { what, verdict: 'wrong', detail, hint };
}

export function note(what: string, detail: string): Finding {
  return { what, verdict: 'note', detail };
}
