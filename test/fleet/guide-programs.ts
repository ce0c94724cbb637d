import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const page = readFileSync(new URL('../../docs/guides/backend.md', import.meta.url), 'utf8');

export interface GuideProgram {
  name: string;
  code: string;
  file: string;
  command: [string, ...string[]];
  /** What it prints when it has been told. */
  told: RegExp;
  /** Why it cannot be run here, or false. */
  skip: string | false;
}

/** The programs of the guide for backends: the last block of each language on the page. */
export const guidePrograms: GuideProgram[] = [
  {
    name: 'curl',
    code: program('sh'),
    file: 'a.sh',
    command: ['bash'],
    told: /"type":"route\.(created|live)"/,
    skip: isMissing('curl'),
  },
  // Within the repository, where the client is a workspace.
  {
    name: 'node',
    code: program('js'),
    file: 'a.mjs',
    command: [process.execPath],
    told: /told that node\./,
    skip: false,
  },
  {
    name: 'python3',
    code: program('python'),
    file: 'a.py',
    command: ['python3'],
    told: /told that python\./,
    skip: isMissing('python3'),
  },
  {
    name: 'go',
    code: program('go'),
    file: 'a.go',
    command: ['go', 'run'],
    told: /told that go\./,
    skip: isMissing('go'),
  },
];

function program(language: string): string {
  const block = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms');
  return [...page.matchAll(block)].at(-1)?.[1] ?? '';
}

function isMissing(command: string): string | false {
  const { status } = spawnSync(command, [command === 'go' ? 'version' : '--version'], { stdio: 'ignore' });
  return status === 0 ? false : `there is no ${command} here`;
}
