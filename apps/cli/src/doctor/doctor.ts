import { exitCodes } from '../output/exit-codes.ts';
import type { Session } from '../session/open-session.ts';
import { examineFleet } from './examine-fleet.ts';
import { examineHost } from './examine-host.ts';

const symbols = { ok: ['green', '✔'], wrong: ['red', '✖'], note: ['dim', '·'] } as const;

export async function runDoctor(session: Session, host?: string): Promise<void> {
  const { client, output } = session;
  const findings = host === undefined ? await examineFleet(session) : await examineHost(client, host);
  if (output.json) output.show(findings);
  else
    for (const { what, verdict, detail, hint } of findings) {
      const [style, symbol] = symbols[verdict];
      output.line(`${output.paint(style, symbol)} ${what}: ${detail}`);
      if (hint !== undefined) output.line(`    ${hint}`);
    }
  if (findings.some(({ verdict }) => verdict === 'wrong')) process.exitCode = exitCodes.faultsFound;
}
