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
/** Of a larger heap the collection would be felt by requests, and the rest of it matters less. */
const mostHeapBytes = 64_000_000;

export interface GiveBackOptions {
  /** CPU time of this process so far. */
  cpuMs?: () => number;
  collect?: () => void;
}

/**
 * Gives the operating system back what a start or a burst made V8's heap grow by, once the process is quiet: V8 itself keeps it for ever,
 * since Node gives it no idle time. One collection of some 30 ms each time; under load there is none. Ends with the process.
 */
export function giveBackMemory({
  cpuMs = ownCpuMs,
  collect = collectEverything,
}: GiveBackOptions = {}): NodeJS.Timeout {
  let atLastLook = cpuMs();
  let worthwhileAt = 0;
  let quiet = 0;
  return setInterval(() => {
    const now = cpuMs();
    const isQuiet = now - atLastLook < quietCpuMs;
    atLastLook = now;
    quiet = isQuiet ? quiet + 1 : 0;
    // A start is a burst too; what has taken no more than one has served next to nothing.
    const started = worthwhileAt === 0 && now < busyCpuMs;
    if (quiet < (started ? 1 : quietPeriods) || now < worthwhileAt) return;
    worthwhileAt = now + busyCpuMs;
    // Not `process.memoryUsage`: that opens a file, and throws where a process may open no more.
    if (usedHeapBytes() < mostHeapBytes) collect();
  }, periodMs).unref();
}

function usedHeapBytes(): number {
  return process.getBuiltinModule('node:v8').getHeapStatistics().used_heap_size;
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** What `--expose-gc` gives, and not by that flag: Node keeps compiled code apart by the flags of a process. */
export function collectEverything(): void {
  const v8 = process.getBuiltinModule('node:v8');
  v8.setFlagsFromString('--expose-gc');
  const gc = process.getBuiltinModule('node:vm').runInNewContext('gc') as (options: object) => void;
  v8.setFlagsFromString('--no-expose-gc');
  gc({ flavor: 'last-resort' });
}
