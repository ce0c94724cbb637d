import type { CommandRun } from './start-command-host.ts';

// Runs commands one after another in this process, each as if it were its own: its variables, its exit code, what it writes.
const streams = [process.stdout, process.stderr];
const main = new URL('../src/main.ts', import.meta.url).href;
let runs = 0;

process.on('message', async ({ args, env, cwd }: CommandRun) => {
  process.chdir(cwd);
  let output = '';
  let code: number | undefined;
  for (const stream of streams)
    stream.write = (text: string | Uint8Array) => {
      if (code === undefined) output += text;
      return true;
    };
  process.env = { PATH: '/usr/bin:/bin', ...env };
  process.argv = [process.argv[0]!, 'lockstep', ...args];
  process.exitCode = undefined;
  process.exit = (asked) => {
    code ??= Number(asked ?? process.exitCode ?? 0);
    throw new Error('the command is over');
  };
  // Another query is another module: the entry runs anew, over all that is loaded.
  await import(`${main}?run=${runs++}`).catch((error) => {
    if (code === undefined) output += String(error);
    code ??= 1;
  });
  code ??= Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  process.send?.({ code, output });
});
