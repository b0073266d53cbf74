import type { ChartRenderer } from './chart.js';
import type { Markup } from './markup.js';
import { figure, legend } from './page.js';
import { drawSpectrumChart, type LayerSpectrum } from './spectrum-chart.js';
import { colour } from './theme.js';
import { layerTiles } from './tiles.js';

export interface SpectrumEntry {
  readonly name: string;
  /** The entries with the largest sizes are shown at once. */
  readonly size: number;
  readonly note: string;
  readonly spectrum: LayerSpectrum;
}

export const CHOSEN_RANK_LEGEND = legend([
  { shape: 'bar', colour: colour('after'), text: 'kept' },
  { shape: 'bar', colour: colour('before'), text: 'cut off' },
  { shape: 'line', colour: colour('ink'), text: 'chosen rank' },
]);

/** One small picture a layer: the largest layers first, then the others in network order. */
export function spectrumTiles(renderer: ChartRenderer, entries: readonly SpectrumEntry[]): Markup {
  return layerTiles(
    entries.map(({ name, size, note, spectrum }) => ({
      size,
      draw: () => figure(name, note, drawSpectrumChart(renderer, name, spectrum)),
    })),
  );
}
