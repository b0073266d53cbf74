import { printable } from '../text.js';

/** HTML that is safe to put into a page: made by `markup`, where every text was escaped. */
export interface Markup {
  readonly html: string;
}

/** null and undefined leave nothing behind. */
export type Content = string | number | Markup | null | undefined | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for element content and for quoted attributes. Control and reordering characters become visible. */
export function escapeHtml(text: string): string {
  return printable(text).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

function render(content: Content): string {
  if (content === null || content === undefined) return '';
  if (typeof content === 'string') return escapeHtml(content);
  if (typeof content === 'number') return String(content);
  return 'html' in content ? content.html : content.map(render).join('');
}

/** A template whose values are escaped, except markup. Values in attributes must stand in double quotes. */
export function markup(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  const html = strings.reduce((result, text, index) => result + text + render(values[index]), '');
  return { html };
}

/** Markup from a trusted source, as it is: our own style sheet, or the SVG of the chart library. */
export function trusted(html: string): Markup {
  return { html };
}
