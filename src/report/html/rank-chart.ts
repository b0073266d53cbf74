import type { InspectLayer } from '../../contracts/inspect.js';
import type { ChartRenderer } from './chart.js';
import type { Markup } from './markup.js';
import { drawNestedBars } from './nested-bars.js';

export interface RankRow {
  readonly name: string;
  readonly energy90Rank: number;
  readonly energy99Rank: number;
  readonly maxRank: number;
}

/** The layers with a spectrum. */
export function rankRows(layers: readonly InspectLayer[]): readonly RankRow[] {
  return layers.flatMap(({ name, label = name, spectrum, maxRank }) =>
    spectrum === null || maxRank === 0
      ? []
      : [{ name: label, energy90Rank: spectrum.energy90Rank, energy99Rank: spectrum.energy99Rank, maxRank }],
  );
}

/** How low the rank of each layer could be: short bars compress well. At least one row. */
export function drawRankChart(renderer: ChartRenderer, rows: readonly RankRow[]): Markup {
  const chart = {
    names: rows.map(({ name }) => name),
    labels: rows.map((row) => `${row.energy90Rank} / ${row.energy99Rank} of ${row.maxRank}`),
    texts: rows.map(
      (row) => `${row.name}: 90 % at rank ${row.energy90Rank}, 99 % at rank ${row.energy99Rank}, of ${row.maxRank}`,
    ),
    series: [
      { values: rows.map(() => 1), isNarrow: false, fill: 'outline' },
      { values: rows.map((row) => row.energy99Rank / row.maxRank), isNarrow: false, fill: 'before' },
      { values: rows.map((row) => row.energy90Rank / row.maxRank), isNarrow: true, fill: 'after' },
    ],
    span: 'whole',
    labelWidths: [150, 112],
  } as const;
  return drawNestedBars(renderer, chart, {
    title: 'Ranks that hold 90 and 99 percent of the squared weights',
    description: 'One bar a layer, as a share of the largest rank. The table of all layers holds the numbers.',
  });
}
