import { markup, trusted, type Content, type Markup } from './markup.js';
import { STYLE } from './theme.js';

export interface Page {
  /** The browser's title. */
  readonly title: string;
  readonly header: Content;
  readonly sections: readonly Content[];
  readonly footer: Content;
}

/**
 * A whole page in one file. It may run no script and load nothing, which its policy also tells the browser: a second wall
 * behind the escaping.
 */
export function renderPage({ title, header, sections, footer }: Page): string {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<header>${header}</header>
<main>
${sections}
</main>
<footer>${footer}</footer>
</body>
</html>
`.html;
}

export function section(title: string, ...content: readonly Content[]): Markup {
  return markup`<section><h2>${title}</h2>${content}</section>\n`;
}

/** A picture under its headline; `note` says how to read it. */
export function figure(title: string, note: Content, picture: Content): Markup {
  return markup`<figure><figcaption><h3>${title}</h3>${note === null ? null : markup`<p>${note}</p>`}</figcaption>${picture}</figure>`;
}

export function details(summary: string, content: Content): Markup {
  return markup`<details><summary>${summary}</summary>${content}</details>`;
}

/** Label and value pairs. */
export function factList(facts: readonly (readonly [label: string, value: Content])[]): Markup {
  return markup`<dl class="facts">${facts.map(([label, value]) => markup`<dt>${label}</dt><dd>${value}</dd>`)}</dl>`;
}

export function code(text: string): Markup {
  return markup`<code>${text}</code>`;
}

export interface LegendEntry {
  readonly shape: 'bar' | 'circle' | 'rect' | 'triangle' | 'diamond' | 'line' | 'solid' | 'dotted' | 'ring';
  /** A CSS colour. */
  readonly colour: string;
  readonly text: string;
}

const SHAPES: Readonly<Record<LegendEntry['shape'], string>> = {
  bar: '<path d="M0 3h12v6H0z"/>',
  circle: '<circle cx="6" cy="6" r="5"/>',
  rect: '<path d="M1 1h10v10H1z"/>',
  triangle: '<path d="M6 1l5.5 10H.5z"/>',
  diamond: '<path d="M6 0l5 6-5 6-5-6z"/>',
  line: '<path d="M0 5h5v2H0zM7 5h5v2H7z"/>',
  solid: '<path d="M0 5h12v2H0z"/>',
  ring: '<path fill-rule="evenodd" d="M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM6 3a3 3 0 1 0 0 6a3 3 0 1 0 0-6z"/>',
  dotted: '<path d="M0 5h2v2H0zM5 5h2v2H5zM10 5h2v2h-2z"/>',
};

export function legend(entries: readonly LegendEntry[]): Markup {
  const items = entries.map(
    ({ shape, colour, text }) =>
      markup`<li><svg viewBox="0 0 12 12" aria-hidden="true" fill="${colour}">${trusted(SHAPES[shape])}</svg>${text}</li>`,
  );
  return markup`<ul class="legend">${items}</ul>`;
}

export interface TableColumn<Row> {
  readonly header: string;
  /** Classes of the cells: "number" aligns to the right. */
  readonly className?: string;
  value(row: Row): Content;
}

/** A table that scrolls by itself where the page is narrow, with the keyboard too. */
export function dataTable<Row>(
  label: string,
  columns: readonly TableColumn<Row>[],
  rows: readonly Row[],
  className = '',
): Markup {
  const head = columns.map(
    ({ header, className: name = '' }) => markup`<th scope="col" class="${name}">${header}</th>`,
  );
  const body = rows.map(
    (row) =>
      markup`<tr>${columns.map(({ className: name = '', value }) => markup`<td class="${name}">${value(row)}</td>`)}</tr>\n`,
  );
  return markup`<div class="scroll" role="region" aria-label="${label}" tabindex="0"><table class="${className}"><thead><tr>${head}</tr></thead><tbody>
${body}</tbody></table></div>`;
}
