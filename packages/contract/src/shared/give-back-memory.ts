import { trimMalloc } from './trim-malloc.ts';

/** How often it is looked whether the process has become quiet. */
const periodMs = 2_000;
/** A process that took less of a period than this is quiet. */
const quietCpuMs = 40;
/**
 * So many periods in a row it has to be quiet after a burst. A collection makes V8 forget how much room requests need, and part of what it had
 * compiled for them: whoever pauses for some seconds would pay for it with his next requests.
 */
const quietPeriods = 30;
/** What it has to have taken since the last time, for there to be something worth giving back. */
const busyCpuMs = 1_000;
/** Of a larger heap that is in use the collection would be felt by requests, and the rest of it matters less. */
const mostHeapBytes = 64_000_000;
/** So much that lies idle is worth giving back by a process that is never quiet, and costs it some ten milliseconds. */
const idleBytes = 64_000_000;
/** And may lie there for so many periods; twice as long each time that there was little to give back, up to the last of them. */
const idlePeriods = 30;
const mostIdlePeriods = 120;

export interface MemoryFigures {
  /** Of V8's heap, garbage included. */
  usedHeapBytes: number;
  /** What the process has beside V8's heap and what that knows of; null where that cannot be found out now. */
  besideHeapBytes: number | null;
}

export interface GiveBackOptions {
  /** CPU time of this process so far. */
  cpuMs?: () => number;
  figures?: () => MemoryFigures;
  collect?: (usedHeapBytes: number) => void;
  trim?: () => void;
}

/**
 * Gives the operating system back what a start, a burst or a crowd of slow clients made the process grow by: V8 keeps its heap, since Node gives it no
 * idle time, and the C library what was freed. Once the process is quiet, heap and all, by one collection of some 30 ms; while it is at work, what has
 * lain idle for a minute. Ends with the process.
 */
export function giveBackMemory({
  cpuMs = ownCpuMs,
  figures = ownFigures,
  collect = collectGarbage,
  trim = trimMalloc,
}: GiveBackOptions = {}): NodeJS.Timeout {
  let atLastLook = cpuMs();
  let worthwhileAt = 0;
  let quiet = 0;
  /** Since the last collection: what is above it may be garbage. */
  let leastUsed = Number.POSITIVE_INFINITY;
  let leastBeside = Number.POSITIVE_INFINITY;
  let idle = 0;
  let patience = idlePeriods;

  function giveBackWhenQuiet(usedHeapBytes: number): void {
    if (leastUsed < mostHeapBytes) collect(usedHeapBytes);
    trim();
    leastUsed = figures().usedHeapBytes;
    idle = 0;
    patience = idlePeriods;
  }

  function giveBackIdle(besideHeapBytes: number): void {
    leastBeside = Math.min(leastBeside, besideHeapBytes);
    const idleNow = besideHeapBytes - leastBeside;
    idle = idleNow > idleBytes ? idle + 1 : 0;
    if (idle < patience) return;
    trim();
    const left = (figures().besideHeapBytes ?? besideHeapBytes) - leastBeside;
    // It may be in use by connections that stay.
    patience = left > idleNow * 0.75 ? Math.min(patience * 2, mostIdlePeriods) : idlePeriods;
    idle = 0;
  }

  return setInterval(() => {
    const now = cpuMs();
    const isQuiet = now - atLastLook < quietCpuMs;
    atLastLook = now;
    quiet = isQuiet ? quiet + 1 : 0;
    const { usedHeapBytes, besideHeapBytes } = figures();
    leastUsed = Math.min(leastUsed, usedHeapBytes);
    // A start is a burst too; what has taken no more than one has served next to nothing.
    const started = worthwhileAt === 0 && now < busyCpuMs;
    if (quiet >= (started ? 1 : quietPeriods) && now >= worthwhileAt) {
      worthwhileAt = now + busyCpuMs;
      giveBackWhenQuiet(usedHeapBytes);
    } else if (besideHeapBytes !== null) giveBackIdle(besideHeapBytes);
  }, periodMs).unref();
}

function ownFigures(): MemoryFigures {
  const heap = process.getBuiltinModule('node:v8').getHeapStatistics();
  const known = heap.total_heap_size + heap.external_memory;
  return { usedHeapBytes: heap.used_heap_size, besideHeapBytes: residentBytes(-known) };
}

/** It opens a file, which fails in a process that may open no more. */
function residentBytes(more: number): number | null {
  try {
    return process.memoryUsage.rss() + more;
  } catch {
    return null;
  }
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function collectGarbage(usedHeapBytes: number): void {
  // In one go where there is much: the rest of it is some megabytes.
  if (usedHeapBytes < mostHeapBytes) collectEverything();
  else collector()({});
}

export function collectEverything(): void {
  collector()({ flavor: 'last-resort' });
}

/** What `--expose-gc` gives, and not by that flag: Node keeps compiled code apart by the flags of a process. */
function collector(): (options: object) => void {
  const v8 = process.getBuiltinModule('node:v8');
  v8.setFlagsFromString('--expose-gc');
  const gc = process.getBuiltinModule('node:vm').runInNewContext('gc') as (options: object) => void;
  v8.setFlagsFromString('--no-expose-gc');
  return gc;
}
