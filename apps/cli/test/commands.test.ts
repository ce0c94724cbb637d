import { testFolder } from '@lockstep/testkit';
import type { Command } from 'commander';
import { pino } from 'pino';
import t from 'tap';
import { tidyEnvironment } from '../src/config.ts';
import { createProgram } from '../src/program.ts';
import { runLockstep } from './lockstep-process.ts';
import { startCommandHost } from './start-command-host.ts';

const secretKey = Buffer.alloc(32, 7).toString('base64');
const edgeKey = 'edge_HvNb+I9QQn7t+/hiSSfz7CoI7o7uf6KbZNbmQgNmfII=';

t.test('keygen prints a key of 32 random bytes, another each time', async (t) => {
  const [first, second] = [await runLockstep(t, ['keygen']), await runLockstep(t, ['keygen'])];
  t.equal(first.code, 0);
  t.equal(Buffer.from(first.output.trim(), 'base64').length, 32);
  t.equal(Buffer.from(first.output.trim(), 'base64').toString('base64'), first.output.trim());
  t.not(first.output, second.output);
});

t.test('keygen --edge prints the key of edges, the same each time', async (t) => {
  const env = { LOCKSTEP_SECRET_KEY: secretKey };
  t.strictSame(await runLockstep(t, ['keygen', '--edge'], { env }), { code: 0, output: `${edgeKey}\n` });
});

t.test('every command has --version and --help, which names the variable of each flag', async (t) => {
  const variables: Record<string, string[]> = {
    up: [
      'EDGES',
      'PORT',
      'HTTPS_PORT',
      'HTTP_PORT',
      'ADMIN_PORT',
      'DATA_DIR',
      'DEMO',
      'LOG_LEVEL',
      ...acme,
      'SECRET_KEY',
      'ADMIN_TOKEN',
    ],
    'control-plane': [
      'LISTEN',
      'TLS_CERT',
      'TLS_KEY',
      'TLS_CLIENT_CA',
      'CADDY_API',
      'TLS_HOST',
      'STORE',
      'STORE_PREFIX',
      'DATA_DIR',
      'NEW_STORE',
      'RESTORED',
      'LOG_LEVEL',
      ...acme,
      'SECRET_KEY',
      'ADMIN_TOKEN',
    ],
    edge: [
      'NODE',
      'HTTPS',
      'HTTP',
      'ADMIN',
      'STORE',
      'STORE_PREFIX',
      'DATA_DIR',
      'WORKERS',
      'PUBLIC_HTTPS_PORT',
      'LOG_LEVEL',
      'EDGE_KEY',
    ],
    keygen: ['SECRET_KEY'],
    'keys rotate': ['API', 'ADMIN_TOKEN'],
    'import caddy': ['API', 'TOKEN', 'CONTEXT'],
    'route add': ['API', 'TOKEN', 'CONTEXT'],
    backup: ['STORE', 'STORE_PREFIX'],
    restore: ['STORE', 'STORE_PREFIX'],
  };
  for (const [command, names] of Object.entries(variables)) {
    const found = commandOf(command.split(' '));
    const help = helpOf(found);
    for (const name of names) t.match(help, new RegExp(`\\bLOCKSTEP_${name}\\b`), `${command}: ${name}`);
    t.match(found.version(), /^\d+\.\d+\.\d+$/);
  }
  const help = await runLockstep(t, ['up', '--help']);
  t.strictSame(help, { code: 0, output: helpOf(commandOf(['up'])) });
  const version = await runLockstep(t, ['keys', 'rotate', '--version']);
  t.match(version, { code: 0, output: /^\d+\.\d+\.\d+\n$/ });
  const all = await runLockstep(t, ['--help']);
  t.equal(all.code, 0);
  for (const command of Object.keys(variables)) t.match(all.output, command.split(' ')[0]);
});

function commandOf(words: string[]): Command {
  let found: Command = createProgram({ openLog: async () => pino({ level: 'silent' }) });
  for (const word of words) found = found.commands.find((command) => command.name() === word)!;
  return found;
}

/** As it is printed where no terminal is. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut(part) {
      text += part;
    },
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}

const acme = ['ACME_DIRECTORY', 'ACME_EMAIL', 'ACME_CA_FILE'];
const addresses = ['--https', '127.0.0.1:1', '--http', '127.0.0.1:2', '--admin', '127.0.0.1:3'];
const redis = ['--store', 'redis://127.0.0.1:1'];
const edge = ['edge', '--node', 'a', ...addresses, ...redis];

/** What was asked for, and what the one line has to say. */
const mistakes: [string, string[], Record<string, string>, RegExp][] = [
  ['an unknown command', ['start'], {}, /unknown command 'start'/],
  ['an unknown flag', ['up', '--edge', '2'], {}, /unknown option '--edge'.*--edges/],
  ['a port that is no number', ['up', '--port', 'x'], {}, /--port <port>.*1 to 65535/],
  ['a port out of range', ['up', '--http-port', '65536'], {}, /--http-port <port>.*1 to 65535/],
  ['a port out of range in a variable', ['up'], { LOCKSTEP_PORT: '0' }, /LOCKSTEP_PORT.*1 to 65535/],
  ['no edges', ['up', '--edges', '0'], {}, /--edges <count>.*1 to 16/],
  ['ranges that meet', ['up', '--https-port', '8079'], {}, /port 8080; choose another --(http|https)-port/],
  ['ports past the last', ['up', '--https-port', '65535'], {}, /lower --https-port/],
  ['an edge without a name', ['edge', ...addresses, ...redis], {}, /--node/],
  ['a bad node id', ['edge', '--node', 'a/b', ...addresses, ...redis], {}, /--node <id>.*letters/],
  [
    'a bad address',
    ['control-plane', '--listen', '7400', ...redis],
    {},
    /--listen <address>.*127\.0\.0\.1:7400/,
  ],
  ['no store', ['control-plane'], {}, /--store.*LOCKSTEP_STORE/],
  [
    'a store that is none',
    ['edge', '--node', 'a', ...addresses, '--store', 'http://user:hunter2@x'],
    {},
    /--store/,
  ],
  ['an edge without a key', edge, {}, /LOCKSTEP_EDGE_KEY.*lockstep keygen --edge/],
  [
    'an edge with the secret key for its own',
    edge,
    { LOCKSTEP_EDGE_KEY: secretKey },
    /LOCKSTEP_EDGE_KEY is the secret key, which edges must not have.*lockstep keygen --edge/,
  ],
  [
    'an edge with the secret key',
    edge,
    { LOCKSTEP_SECRET_KEY: secretKey },
    /LOCKSTEP_SECRET_KEY.*must not be given to an edge.*LOCKSTEP_EDGE_KEY.*lockstep keygen --edge/,
  ],
  [
    'an edge with both keys',
    edge,
    { LOCKSTEP_SECRET_KEY: secretKey, LOCKSTEP_EDGE_KEY: edgeKey },
    /LOCKSTEP_SECRET_KEY.*must not be given to an edge/,
  ],
  [
    'a control plane with an edge key',
    ['control-plane', ...redis],
    { LOCKSTEP_SECRET_KEY: edgeKey, LOCKSTEP_ADMIN_TOKEN: 'a'.repeat(16) },
    /secret key is an edge key.*LOCKSTEP_SECRET_KEY.*lockstep keygen/,
  ],
  [
    'a control plane with the key of edges beside its own',
    ['control-plane', ...redis],
    { LOCKSTEP_SECRET_KEY: secretKey, LOCKSTEP_EDGE_KEY: edgeKey, LOCKSTEP_ADMIN_TOKEN: 'a'.repeat(16) },
    /LOCKSTEP_EDGE_KEY is for edges.*LOCKSTEP_SECRET_KEY.*lockstep keygen/,
  ],
  ['keys without a token', ['keys', 'rotate'], {}, /LOCKSTEP_ADMIN_TOKEN is not set/],
  [
    'keys of a folder without any',
    ['keys', 'rotate', '--data-dir', '/nowhere'],
    {},
    /\/nowhere\/secret-key cannot be read/,
  ],
  ['an API that is none', ['keys', 'rotate', '--api', 'ftp://a'], {}, /--api <url>.*7400/],
  ['an edge key of nothing', ['keygen', '--edge'], {}, /LOCKSTEP_SECRET_KEY is not set/],
  ['an edge key of an edge key', ['keygen', '--edge'], { LOCKSTEP_SECRET_KEY: edgeKey }, /is an edge key/],
  [
    'a control plane without a key',
    ['control-plane', ...redis],
    { LOCKSTEP_ADMIN_TOKEN: 'a'.repeat(16) },
    /LOCKSTEP_SECRET_KEY/,
  ],
  [
    'a control plane without a token',
    ['control-plane', ...redis],
    { LOCKSTEP_SECRET_KEY: secretKey, LOCKSTEP_ADMIN_TOKEN: '' },
    /LOCKSTEP_ADMIN_TOKEN/,
  ],
  [
    'a short token',
    ['control-plane', ...redis],
    { LOCKSTEP_SECRET_KEY: secretKey, LOCKSTEP_ADMIN_TOKEN: 'hunter2' },
    /LOCKSTEP_ADMIN_TOKEN.*16/,
  ],
  ['a bad log level', ['up', '--log-level', 'loud'], {}, /--log-level <level>.*warn/],
];

const runInHost = startCommandHost(t);
for (const [title, args, env, expected] of mistakes) {
  t.test(`${title}: one line that names the way out, and exit code 1`, async (t) => {
    const { code, output } = await runInHost(args, { env, cwd: testFolder(t, {}) });
    t.equal(code, 1);
    t.match(output, expected);
    t.match(output, /^lockstep: [^\n]*\n$/, 'one line');
    for (const secret of ['hunter2', secretKey, edgeKey])
      t.notOk(output.includes(secret), 'no secret is repeated');
  });
}

t.test('every switch can be turned off by its variable', async (t) => {
  const options = createProgram({ openLog: async () => pino({ level: 'silent' }) }).commands.flatMap(
    (command) => command.options,
  );
  const switches = options.flatMap((option) => (option.isBoolean() && option.envVar ? [option.envVar] : []));
  t.ok(switches.includes('LOCKSTEP_RESTORED'));
  for (const name of switches) {
    const env: NodeJS.ProcessEnv = { [name]: 'false' };
    tidyEnvironment(env);
    t.same(env, {}, name);
  }
});

t.test('a switch that a variable turns off is off', async (t) => {
  const { output } = await runLockstep(t, ['up', '--port', 'x'], {
    env: { LOCKSTEP_DEMO: '0', LOCKSTEP_EDGES: '' },
  });
  t.match(output, '--port', 'an empty variable is none: the flag is what is wrong');
});
