import type { Session } from '../session/open-session.ts';
import { editableIssuer, editableRoute, settable } from './editable.ts';

/** Writes what `lockstep apply` reads, without secrets. */
export async function exportAll({ client, output }: Session): Promise<void> {
  const issuers: Record<string, unknown> = {};
  for await (const issuer of client.issuers.list())
    if (issuer.source === 'api') issuers[issuer.name] = editableIssuer(issuer);
  const routes: unknown[] = [];
  for await (const route of client.routes.list()) routes.push(editableRoute(route));
  output.show({ settings: settable(await client.settings.get()), issuers, routes });
}
