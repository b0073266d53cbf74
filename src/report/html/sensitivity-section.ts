import { agreementText, changeUnitTexts, ruleTexts, sensitivityText } from '../agreement-text.js';
import {
  type Agreement,
  type ChangeUnit,
  type ConvertReport,
  type MeasuredRule,
  type SensitivityReport,
  shownName,
  type TradeOff,
  type TradeOffPoint,
} from '../../contracts/convert.js';
import { formatSmall, formatPercent, formatWhole, plural } from '../format.js';
import { agreementOf, budgetText } from '../trade-off-table.js';
import type { ChartRenderer } from './chart.js';
import { markOf, SCHEMES } from './error-chart.js';
import { decadesOf } from './log-axis.js';
import { type Content, type Markup, markup } from './markup.js';
import { drawNestedBars } from './nested-bars.js';
import { code, dataTable, details, figure, legend, type LegendEntry, section, type TableColumn } from './page.js';
import { drawSensitivityChart, type SensitiveLayer, sensitiveLayers } from './sensitivity-chart.js';
import { colour } from './theme.js';
import { layerTiles } from './tiles.js';
import { drawTradeOffChart, tradeOffLegend } from './trade-off-chart.js';

/** Bars that are shown at once; the others are one click away. */
const mostBars = 18;

/** What stands in backticks as code. */
function withCode(text: string): Content {
  return text.split('`').map((part, index) => (index % 2 === 1 ? code(part) : part));
}

/** How much the written model agrees with the original, and what to do where that is little. */
export function agreementBox(agreement: Agreement | undefined): Markup | null {
  if (agreement === undefined) return null;
  const { advice } = agreement;
  const level = advice === null ? 'good' : 'caution';
  const short = advice === null ? 'Agrees with the original' : 'Differs from the original';
  return markup`<div class="verdict ${level}"><span class="icon" aria-hidden="true">${advice === null ? '✓' : '!'}</span><p><strong>${short}.</strong> ${agreementText(agreement)}.${advice === null ? null : markup` What to do: ${withCode(advice)}.`}</p></div>`;
}

function pointColumns(unit: TradeOff['unit']): readonly TableColumn<TradeOffPoint>[] {
  const { short } = changeUnitTexts[unit];
  const number = 'number';
  return [
    { header: 'Budget', className: number, value: budgetText },
    { header: 'MACs', className: number, value: ({ macs }) => formatPercent(macs) },
    { header: 'Parameters', className: number, value: ({ params }) => formatPercent(params) },
    { header: 'Sum of the layers', className: number, value: ({ predicted }) => formatSmall(predicted) },
    { header: `Expected ${short}`, className: number, value: ({ expected }) => formatSmall(expected) },
    {
      header: `Measured ${short}`,
      className: number,
      value: ({ measured }) => (measured === null ? '–' : formatSmall(measured.change)),
    },
    { header: 'Same class', className: number, value: (point) => agreementOf(point) || '–' },
    {
      header: 'Images',
      className: number,
      value: ({ measured }) => (measured === null ? '–' : formatWhole(measured.images)),
    },
    { header: '', value: ({ isChosen }) => (isChosen ? 'chosen' : '') },
  ];
}

const ruleColumns = (unit: ChangeUnit): readonly TableColumn<MeasuredRule>[] => [
  { header: 'Ranks by', value: ({ rule }) => ruleTexts[rule] },
  { header: 'Sum of the layers', className: 'number', value: ({ predicted }) => formatSmall(predicted) },
  {
    header: `Measured ${changeUnitTexts[unit].short}`,
    className: 'number',
    value: ({ change }) => formatSmall(change),
  },
  {
    header: 'Same class',
    className: 'number',
    value: ({ agreement }) => (agreement === null ? '–' : formatPercent(agreement)),
  },
  { header: 'Images', className: 'number', value: ({ images }) => formatWhole(images) },
  { header: '', value: ({ isChosen }) => (isChosen ? 'chosen' : '') },
];

/** Ways to share out the budget, where several were measured. */
function rulesTable({ unit, rules = [] }: SensitivityReport): Markup | null {
  if (rules.length < 2) return null;
  return markup`<div><h3>Ways to share out the budget</h3><p class="muted">Models with ranks by each of them, quickly fitted and measured whole on images kept out of the fit; one that changes clearly less than those before it is taken.</p>${dataTable('Ways to share out the budget', ruleColumns(unit), rules)}</div>`;
}

function tradeOffFigure(renderer: ChartRenderer, tradeOff: TradeOff): Markup {
  return figure(
    'Size against change',
    `The smallest change that is expected of each budget: ${changeUnitTexts[tradeOff.unit].long}. Expected is the sum over the layers, put right by what was measured`,
    markup`${tradeOffLegend(tradeOff)}${drawTradeOffChart(renderer, tradeOff)}${details(`All ${plural(tradeOff.points.length, 'budget')}`, dataTable('Budgets', pointColumns(tradeOff.unit), tradeOff.points))}`,
  );
}

function drawBars(renderer: ChartRenderer, layers: readonly SensitiveLayer[], title: string): Markup {
  const labels = layers.map(({ layer, sensitivity }) =>
    layer.action === 'kept' ? 'kept' : formatSmall(sensitivity.change),
  );
  const chart = {
    names: layers.map(({ layer }) => shownName(layer)),
    labels,
    texts: layers.map(({ layer }, index) => `${shownName(layer)}: ${labels[index]!}`),
    series: [
      {
        values: layers.map(({ sensitivity }) => sensitivity.change),
        isNarrow: false,
        fill: layers.map(() => 'after' as const),
      },
    ],
    format: formatSmall,
    span: 'whole',
    labelWidths: [84, 74],
  } as const;
  return drawNestedBars(renderer, chart, {
    title,
    description: 'One bar a layer. The curves below hold what other ranks would have changed.',
  });
}

function barsFigure(renderer: ChartRenderer, layers: readonly SensitiveLayer[]): Markup {
  const sorted = layers.toSorted((a, b) => b.sensitivity.change - a.sensitivity.change);
  const shown = sorted.slice(0, mostBars);
  const total = (of: readonly SensitiveLayer[]): string =>
    formatSmall(of.reduce((sum, { sensitivity }) => sum + sensitivity.change, 0));
  const others = sorted.slice(mostBars);
  const note =
    others.length === 0
      ? `All layers, largest first; together ${total(sorted)}`
      : `The ${mostBars} layers that are felt most; the other ${others.length} together: ${total(others)}`;
  return figure('At the chosen ranks', note, [
    drawBars(renderer, shown, 'What the outputs feel of the layers, largest first'),
    others.length === 0
      ? null
      : details(
          `All ${plural(layers.length, 'layer')} in network order`,
          drawBars(renderer, layers, 'What the outputs feel of all layers'),
        ),
  ]);
}

function curvesFigure(
  renderer: ChartRenderer,
  layers: readonly SensitiveLayer[],
  of: 'macs' | 'params',
): Markup | null {
  const decades = decadesOf(layers.flatMap(({ sensitivity }) => sensitivity.curve.map(({ change }) => change)));
  if (decades === undefined) return null;
  const entries = SCHEMES.filter((scheme) =>
    layers.some(({ sensitivity }) => sensitivity.curve.some((point) => point.scheme === scheme)),
  ).map((scheme): LegendEntry => ({
    shape: markOf(scheme).line,
    colour: colour(markOf(scheme).colour),
    text: markOf(scheme).text,
  }));
  const tiles = layers.map((entry) => ({
    size: entry.sensitivity.change,
    draw: () => figure(shownName(entry.layer), rankNote(entry), drawSensitivityChart(renderer, entry, of, decades)),
  }));
  const left = of === 'macs' ? 'multiply-accumulates' : 'parameters';
  return figure(
    'At other ranks',
    `The change over the share of the layer's ${left} that is left, on one scale for all layers. Where a curve is steep, a little more rank saves much`,
    markup`${legend([...entries, { shape: 'ring', colour: colour('ink'), text: 'chosen rank' }])}${layerTiles(tiles)}`,
  );
}

function rankNote({ layer, sensitivity }: SensitiveLayer): string {
  if (layer.action === 'kept') return 'kept';
  return `rank ${layer.rank ?? '?'} of ${layer.maxRank}, change ${formatSmall(sensitivity.change)}`;
}

/** Size against change of the outputs, and which layers cause it; null where nothing was measured. */
export function sensitivitySection(renderer: ChartRenderer, report: ConvertReport): Markup | null {
  const { sensitivity, tradeOff } = report;
  const layers = sensitiveLayers(report.layers);
  if (sensitivity === undefined && tradeOff === undefined && layers.length === 0) return null;
  const unit = sensitivity?.unit ?? tradeOff?.unit;
  return section(
    'What the outputs feel',
    markup`<p class="muted">${unit === undefined ? null : `How much the outputs change where one layer alone is cut: ${changeUnitTexts[unit].long}.`}${sensitivity === undefined ? null : ` Ranks were chosen ${sensitivityText(sensitivity)}.`}</p>`,
    markup`<div class="stack">${tradeOff === undefined || tradeOff.points.length === 0 ? null : tradeOffFigure(renderer, tradeOff)}${layers.length === 0 ? null : barsFigure(renderer, layers)}${layers.length === 0 ? null : curvesFigure(renderer, layers, tradeOff?.of === 'params' ? 'params' : 'macs')}${sensitivity === undefined ? null : rulesTable(sensitivity)}</div>`,
  );
}
