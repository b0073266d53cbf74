import { plural } from '../format.js';
import type { ChartRenderer } from './chart.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import { details, figure, legend } from './page.js';
import { drawSpectrumChart } from './spectrum-chart.js';
import type { LayerSpectrum } from './spectrum-chart.js';
import { colour } from './theme.js';

export interface SpectrumEntry {
  readonly name: string;
  /** The entries with the largest sizes are shown at once, the others are one click away. */
  readonly size: number;
  readonly note: string;
  readonly spectrum: LayerSpectrum;
}

const SHOWN_AT_ONCE = 12;

export const CHOSEN_RANK_LEGEND = legend([
  { shape: 'bar', colour: colour('after'), text: 'kept' },
  { shape: 'bar', colour: colour('before'), text: 'cut off' },
  { shape: 'line', colour: colour('ink'), text: 'chosen rank' },
]);

function tiles(renderer: ChartRenderer, entries: readonly SpectrumEntry[]): Markup {
  const figures = entries.map(({ name, note, spectrum }) =>
    figure(name, note, drawSpectrumChart(renderer, name, spectrum)),
  );
  return markup`<div class="tiles">${figures}</div>`;
}

/** One small picture a layer: the largest layers first, then the others in network order. */
export function spectrumTiles(renderer: ChartRenderer, entries: readonly SpectrumEntry[]): Markup {
  const first = entries.toSorted((a, b) => b.size - a.size).slice(0, SHOWN_AT_ONCE);
  const others = entries.filter((entry) => !first.includes(entry));
  const rest =
    others.length === 0 ? null : details(`The ${plural(others.length, 'other layer')}`, tiles(renderer, others));
  return markup`${tiles(renderer, first)}${rest}`;
}
