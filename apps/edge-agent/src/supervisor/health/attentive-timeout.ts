const parts = 4;
const mostLateParts = 12;

/**
 * As `setTimeout`, of time in which this process was there to see what came: of one that is held up, at its start or by a busy machine, no
 * upstream is to be found slow. What it gives back ends it.
 */
export function attentiveTimeout(ms: number, onOver: () => void): () => void {
  const partMs = ms / parts;
  let left = parts;
  let late = 0;
  let timer: NodeJS.Timeout;
  let ended = false;

  function next(): void {
    const due = performance.now() + partMs;
    timer = setTimeout(() => {
      const heldUp = performance.now() - due > Math.max(partMs / 2, 10);
      if (heldUp && late < mostLateParts) late += 1;
      else left -= 1;
      if (left > 0) next();
      else setImmediate(() => ended || onOver()); // behind what has come meanwhile
    }, partMs);
  }

  next();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
