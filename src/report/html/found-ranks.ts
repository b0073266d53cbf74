import type { EpochRanks, TrainReport } from '../../contracts/train.js';
import { formatError, formatPercent, formatSeconds, formatWhole } from '../format.js';
import type { ChartRenderer } from './chart.js';
import type { Curve } from './curve-chart.js';
import { curveFigure, percentTick } from './curve-figure.js';
import { type Markup, markup } from './markup.js';
import { dataTable, details, section, type TableColumn } from './page.js';

/** Layers whose charts are seen at once. */
const mostLayers = 8;

interface LayerRow {
  readonly label: string;
  readonly matrix: string;
  readonly start: number;
  readonly end: string;
  readonly values: readonly number[];
}

const columns: readonly TableColumn<LayerRow>[] = [
  { header: 'Layer', className: '', value: ({ label }) => label },
  { header: 'Matrix', className: 'number', value: ({ matrix }) => matrix },
  { header: 'Rank at the start', className: 'number', value: ({ start }) => formatWhole(start) },
  { header: 'Rank at the end', className: 'number', value: ({ end }) => end },
  { header: 'Largest σ', className: 'number', value: ({ values }) => formatError(values[0] ?? 0) },
];

/** Ranks and singular values by layer over the epochs, and what the model comes to; null where no ranks are found. */
export function rankSection(renderer: ChartRenderer, { adaptation, epochs }: TrainReport): Markup | null {
  const found = epochs.flatMap(({ epoch, adaptation: own }) => (own === undefined ? [] : [{ epoch, own }]));
  const last = found.at(-1)?.own;
  if (adaptation === undefined || last === undefined) return null;
  const { layers, whole, method, tolerance } = adaptation;
  const at = found.map(({ epoch }) => epoch);
  const curve = (
    name: string,
    of: (own: EpochRanks) => number | null,
    stroke: Pick<Curve, 'colour' | 'shape'>,
  ): Curve => ({
    name,
    values: found.map(({ own }) => of(own)),
    ...stroke,
  });
  const size = curveFigure(
    renderer,
    {
      title: 'Size',
      epochs: at,
      curves: [
        curve('parameters', ({ paramsShare }) => paramsShare, { colour: 'after', shape: 'solid' }),
        curve('MACs', ({ macsShare }) => macsShare, { colour: 'kept', shape: 'line' }),
      ],
      format: percentTick,
    },
    `Of the model with these layers in one piece: ${formatWhole(whole.params)} parameters; both factors are counted`,
  );
  const seconds = found.reduce((sum, { own }) => sum + own.seconds, 0);
  const charts = layers.flatMap(({ label, rows, cols }, index) => [
    curveFigure(
      renderer,
      {
        title: label,
        epochs: at,
        curves: [curve('rank', ({ ranks }) => ranks[index]!, { colour: 'after', shape: 'solid' })],
        format: (value) => String(Math.round(value)),
      },
      `Rank of ${rows} × ${cols}`,
    ),
    curveFigure(
      renderer,
      {
        title: `${label}: singular values`,
        epochs: at,
        curves: [
          curve('largest', ({ singularValues }) => singularValues[index]![0] ?? null, {
            colour: 'after',
            shape: 'solid',
          }),
          curve('4th', ({ singularValues }) => singularValues[index]![3] ?? null, { colour: 'kept', shape: 'line' }),
          curve('16th', ({ singularValues }) => singularValues[index]![15] ?? null, {
            colour: 'third',
            shape: 'dotted',
          }),
        ],
        format: (value) => String(Number(value.toPrecision(3))),
      },
      'At the end of each epoch, behind the cut',
    ),
  ]);
  const rows = layers.map(({ name, label, rows: height, cols, startRank }, index): LayerRow => ({
    label,
    matrix: `${height} × ${cols}`,
    start: startRank,
    end: `${formatWhole(last.ranks[index]!)}${last.inOnePiece?.includes(name) === true ? ', in one piece' : ''}`,
    values: last.singularValues[index]!,
  }));
  const grid = markup`<div class="two">${charts}</div>`;
  const how = `${method}${tolerance === null ? '' : `, θ = ${tolerance}`}; ${formatPercent(last.paramsShare)} of the parameters and ${formatPercent(last.macsShare)} of the MACs at the end; ${formatSeconds(seconds)} in linear algebra`;
  return section(
    'Ranks',
    markup`<p>${how}.</p><div class="two">${[size]}</div>${dataTable('Ranks', columns, rows)}${layers.length <= mostLayers ? grid : details(`The charts of ${layers.length} layers`, grid)}`,
  );
}
