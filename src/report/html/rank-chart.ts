import type { InspectLayer } from '../contract.js';
import { printable, truncate } from '../text.js';
import { AXIS_HEIGHT, LABEL_STYLE, ROW_HEIGHT, rowAxes, rowGrid, shareAxis } from './chart.js';
import type { ChartRenderer } from './chart.js';
import { trusted } from './markup.js';
import type { Markup } from './markup.js';
import { colour } from './theme.js';

const LAYOUTS = [
  { width: 1080, nameWidth: 280, letters: 44, valueWidth: 150, className: 'wide' },
  { width: 340, nameWidth: 110, letters: 17, valueWidth: 112, className: 'narrow' },
] as const;

export interface RankRow {
  readonly name: string;
  readonly energy90Rank: number;
  readonly energy99Rank: number;
  readonly maxRank: number;
}

/** The layers with a spectrum. */
export function rankRows(layers: readonly InspectLayer[]): readonly RankRow[] {
  return layers.flatMap(({ name, spectrum, maxRank }) =>
    spectrum === null || maxRank === 0
      ? []
      : [{ name, energy90Rank: spectrum.energy90Rank, energy99Rank: spectrum.energy99Rank, maxRank }],
  );
}

function drawLayout(renderer: ChartRenderer, rows: readonly RankRow[], layout: (typeof LAYOUTS)[number]): Markup {
  const itemTexts = rows.map(
    (row) => `${row.name}: 90 % at rank ${row.energy90Rank}, 99 % at rank ${row.energy99Rank}, of ${row.maxRank}`,
  );
  const names = rows.map(({ name }) => truncate(printable(name), layout.letters, 'middle'));
  const bar = { type: 'bar', clip: false, emphasis: { disabled: true } } as const;
  const isWide = layout.className === 'wide';
  return renderer.draw(
    {
      grid: rowGrid(names, layout.nameWidth, layout.valueWidth),
      xAxis: shareAxis(isWide),
      yAxis: rowAxes(names, 3),
      series: [
        {
          ...bar,
          barWidth: 13,
          itemStyle: { color: 'none', borderColor: colour('line'), borderWidth: 1 },
          label: {
            ...LABEL_STYLE,
            show: true,
            position: 'right',
            formatter: ({ dataIndex }) => {
              const row = rows[dataIndex];
              return row === undefined ? '' : `${row.energy90Rank} / ${row.energy99Rank} of ${row.maxRank}`;
            },
          },
          data: rows.map(() => 1),
        },
        {
          ...bar,
          yAxisIndex: 1,
          barWidth: 13,
          itemStyle: { color: colour('before') },
          data: rows.map((row) => row.energy99Rank / row.maxRank),
        },
        {
          ...bar,
          yAxisIndex: 2,
          barWidth: 7,
          itemStyle: { color: colour('after') },
          data: rows.map((row) => row.energy90Rank / row.maxRank),
        },
      ],
    },
    { width: layout.width, height: rows.length * ROW_HEIGHT + AXIS_HEIGHT },
    {
      title: 'Ranks that hold 90 and 99 percent of the squared weights',
      description: 'One bar a layer, as a share of the largest rank. The table of all layers holds the numbers.',
      items: [itemTexts, itemTexts, itemTexts],
    },
    layout.className,
  );
}

/** How low the rank of each layer could be: short bars compress well. At least one row. */
export function drawRankChart(renderer: ChartRenderer, rows: readonly RankRow[]): Markup {
  return trusted(LAYOUTS.map((layout) => drawLayout(renderer, rows, layout).html).join(''));
}
