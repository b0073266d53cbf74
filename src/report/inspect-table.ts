import { changeUnitTexts } from './agreement-text.js';
import { fullRank, type InspectLayer, type InspectReport } from '../contracts/inspect.js';
import type { SensitivityReport } from '../contracts/convert.js';
import { formatCount, formatError, plural } from './format.js';
import { IDENTITY_COLUMNS, numbered, type NumberedLayer, ranksText } from './layer-columns.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';

type Row = NumberedLayer<InspectLayer>;

const COLUMNS: readonly Column<Row>[] = [
  ...IDENTITY_COLUMNS,
  { header: 'activation', align: 'left', importance: 1, value: ({ layer }) => layer.activation },
  { header: 'scheme', align: 'left', importance: 6, value: ({ layer }) => layer.scheme ?? '' },
  {
    header: 'rank',
    align: 'right',
    importance: 17,
    value: ({ layer }) => (layer.rank === null ? 'full' : ranksText(layer)),
    paint: ({ layer }) => (layer.rank === null ? 'dim' : 'green'),
  },
  { header: 'max', align: 'right', importance: 16, value: ({ layer }) => String(layer.maxRank) },
  { header: 'break-even', align: 'right', importance: 9, value: ({ layer }) => String(layer.breakEvenRank) },
  {
    header: 'stable rank',
    align: 'right',
    importance: 12,
    value: ({ layer }) => layer.spectrum?.stableRank.toFixed(1) ?? '',
  },
  { header: '90 %', align: 'right', importance: 14, value: ({ layer }) => String(layer.spectrum?.energy90Rank ?? '') },
  { header: '99 %', align: 'right', importance: 13, value: ({ layer }) => String(layer.spectrum?.energy99Rank ?? '') },
  { header: 'params', align: 'right', importance: 15, value: ({ layer }) => formatCount(layer.params.after) },
  { header: 'MACs', align: 'right', importance: 10, value: ({ layer }) => formatCount(layer.macs.after) },
  {
    header: 'halved',
    align: 'right',
    importance: 15,
    value: ({ layer: { halved } }) =>
      halved === undefined ? '' : halved === null ? 'no rank' : formatError(halved.change),
  },
  { header: 'pair by', align: 'left', importance: 8, value: ({ layer }) => layer.pair?.recognizedBy ?? '' },
  {
    header: 'stays full because',
    align: 'left',
    importance: 7,
    shrinkTo: 14,
    value: ({ layer }) => (layer.scheme === null && layer.reason !== fullRank ? layer.reason : ''),
    paint: () => 'dim',
  },
];

/** What the column of that name says. */
function halvedText({ by, unit, images }: SensitivityReport): string {
  const what =
    by === 'gradients'
      ? `${changeUnitTexts[unit].long}, expected on ${plural(images, 'image')}`
      : 'the share of what the layer computes that is lost';
  return `${what}, where one layer alone has half of its MACs`;
}

/** The report as text for people: one line per layer, the totals, the warnings. Ends with a line break. */
export function renderInspectTable(report: InspectReport, terminal: Terminal): string {
  const { model, totals } = report;
  const facts: readonly (readonly [string, string])[] = [
    ['layers', `${report.layers.length}, of them ${plural(totals.pairs, 'low-rank pair')}`],
    ['parameters', formatCount(totals.params)],
    ['MACs', `${formatCount(totals.macs)} for an input of ${model.inputShape.join('x')}`],
    ...(report.sensitivity === undefined ? [] : [['halved', halvedText(report.sensitivity)] as const]),
    ['model', `opset ${model.opset}, IR ${model.irVersion}${model.producer === '' ? '' : `, ${model.producer}`}`],
    ['sha256', model.sha256],
  ];
  const warnings = report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`);
  return [
    paint(terminal, 'bold', printable(model.path)),
    '',
    ...(report.layers.length === 0
      ? ['no convolution or dense layer']
      : renderTable(COLUMNS, numbered(report.layers), terminal)),
    '',
    ...renderFacts(facts, terminal),
    ...(warnings.length === 0 ? [] : ['', ...warnings]),
    '',
  ].join('\n');
}
