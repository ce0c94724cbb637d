import { createHash } from 'node:crypto';
import { Html, html } from './html.ts';
import type { HostInstructions, Instructions, RecordInstructions } from './instructions.ts';
import {
  afterwards,
  asOf,
  foundNote,
  labelsOf,
  nameNote,
  noRecords,
  notes,
  notSeen,
  purposes,
  shownHost,
  states,
  summary,
  title,
  typeLabel,
  whereToMake,
} from './wording.ts';

const style = `
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin-top: 2.5rem; overflow-wrap: anywhere }
section section { border: 1px solid; border-radius: .5rem; padding: .25rem 1rem .75rem; margin: 1rem 0; break-inside: avoid }
h3 { font-size: 1rem; margin: .5rem 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0 }
dt { font-weight: 600 }
dd { margin: 0; overflow-wrap: anywhere }
code { font: 1em ui-monospace, monospace; user-select: all }
.note { opacity: .8 }
@media print { body { margin: 0; max-width: none } }
`;

/** Nothing is loaded, run, sent or framed: the page has its style alone, by its hash. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The instructions as a page of its own, without scripts, that can be printed. */
export function asHtml(instructions: Instructions): string {
  const { hosts, right, records } = instructions;
  const heading = title(instructions);
  const seen = asOf(instructions);
  const then = html`<section><h2>What happens then</h2><ul>${[...notes, ...afterwards].map((note) => html`<li>${note}</li>`)}</ul></section>`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${heading}</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
<h1>${heading}</h1>
<p>${summary(instructions)}${seen === null ? null : ` ${seen}`}</p>
${hosts.map((host, index) => hostHtml(host, hosts[index - 1]))}
${right < records ? then : null}
</main>
</body>
</html>
`.text;
}

function hostHtml(host: HostInstructions, before: HostInstructions | undefined): Html {
  const { records, advice, nothingAsked } = host;
  const unseen = nothingAsked === null ? notSeen(host) : null;
  const place = whereToMake(host, before);
  const help = place?.help ? html` <a href="${place.help}" rel="noreferrer">Its help on that</a>.` : null;
  const sentences = nothingAsked === null || advice.length > 0 ? advice : [noRecords[nothingAsked]];
  return html`<section>
<h2>${shownHost(host.host)}</h2>
${place === null || nothingAsked !== null ? null : html`<p>${place.text}${help}</p>`}
${sentences.map((sentence) => html`<p>${sentence}</p>`)}
${records.map((record, index) => recordHtml(host, record, index + 1))}
${unseen === null ? null : html`<p class="note">${unseen}</p>`}
</section>
`;
}

function recordHtml(host: HostInstructions, record: RecordInstructions, number: number): Html {
  const { state, name, value, purpose } = record;
  const labels = labelsOf(host, record);
  const note = nameNote(host, record);
  const found = foundNote(record);
  return html`<section>
<h3>${marks[state]} Record ${number}: ${states[state]}</h3>
<dl>
<dt>Type</dt><dd>${typeLabel(record)}</dd>
<dt>${labels.name}</dt><dd>${name === '' ? null : html`<code>${name}</code> `}${note === null ? null : html`<span class="note">(${note})</span>`}</dd>
<dt>${labels.value}</dt><dd><code>${value}</code></dd>
<dt>What for</dt><dd>${purposes[purpose]}</dd>
${found === null ? null : html`<dt>There now</dt><dd>${found}</dd>`}
</dl>
</section>
`;
}

const marks = { right: '✓', spare: '–', unseen: '?', open: '→' } as const;
