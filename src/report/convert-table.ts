import { writtenText } from './written-text.js';
import { accuracyText, renderTrials } from './accuracy-table.js';
import { agreementText, sensitivityText } from './agreement-text.js';
import { type ConvertReport, depthwiseReason, type LayerReport, type Ratio } from '../contracts/convert.js';
import { calibrationText } from './calibration-text.js';
import { preparationFact } from './preparation-text.js';
import { recalibrationText } from './recalibration-text.js';
import { recoveredText } from './recover-table.js';
import {
  formatChange,
  formatCount,
  formatError,
  formatMilliseconds,
  formatRatio,
  formatSeconds,
  formatSmall,
  formatWhole,
} from './format.js';
import { IDENTITY_COLUMNS, numbered, type NumberedLayer, ranksText } from './layer-columns.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import { fewerPoints, renderTradeOff } from './trade-off-table.js';
import { verdictOf } from './verdict.js';

/** Rows of the trade-off, below those of the layers. */
const mostPoints = 9;

const isKept = (layer: LayerReport): boolean => layer.action === 'kept';

/** ", 17 of them depthwise: a pair of one channel saves nothing". */
function depthwiseText(layers: readonly LayerReport[]): string {
  const count = layers.filter((layer) => isKept(layer) && layer.reason === depthwiseReason).length;
  return count === 0 ? '' : `, ${formatWhole(count)} of them depthwise: a pair of one channel saves nothing`;
}

/** A count after the conversion; nothing where it did not change. */
function after(change: { readonly before: number; readonly after: number }): string {
  return change.before === change.after ? '' : formatCount(change.after);
}

const COLUMNS: readonly Column<NumberedLayer>[] = [
  ...IDENTITY_COLUMNS,
  {
    header: 'action',
    align: 'left',
    importance: 18,
    value: ({ layer }) => layer.action,
    paint: ({ layer }) => (isKept(layer) ? 'yellow' : 'green'),
  },
  { header: 'scheme', align: 'left', importance: 6, value: ({ layer }) => (isKept(layer) ? '' : (layer.scheme ?? '')) },
  {
    header: 'rank/max',
    align: 'right',
    importance: 17,
    value: ({ layer }) => (layer.rank === null || isKept(layer) ? '' : `${ranksText(layer)}/${layer.maxRank}`),
  },
  { header: 'params', align: 'right', importance: 16, value: ({ layer }) => formatCount(layer.params.before) },
  { header: 'now', align: 'right', importance: 16, value: ({ layer }) => after(layer.params) },
  { header: 'MACs', align: 'right', importance: 10, value: ({ layer }) => formatCount(layer.macs.before) },
  { header: 'now', align: 'right', importance: 10, value: ({ layer }) => after(layer.macs) },
  {
    header: 'weight err',
    align: 'right',
    importance: 12,
    value: ({ layer }) => (layer.weightError === null ? '' : formatError(layer.weightError)),
  },
  {
    header: 'function err',
    align: 'right',
    importance: 11,
    value: ({ layer }) => (layer.functionError === null ? '' : formatError(layer.functionError)),
  },
  {
    header: 'data err',
    align: 'right',
    importance: 13,
    value: ({ layer }) => (layer.dataError === undefined ? '' : formatError(layer.dataError)),
  },
  {
    header: 'outputs feel',
    align: 'right',
    importance: 14,
    value: ({ layer }) =>
      layer.sensitivity === undefined || isKept(layer) ? '' : formatSmall(layer.sensitivity.change),
  },
  {
    header: 'kept because',
    align: 'left',
    importance: 9,
    shrinkTo: 14,
    // Those of depthwise convolutions are said once, below.
    value: ({ layer }) => (isKept(layer) && layer.reason !== depthwiseReason ? layer.reason : ''),
    paint: () => 'dim',
  },
];

function ratioLine(
  change: Ratio,
  format: (value: number) => string,
  words: { readonly less: string; readonly more: string },
): string {
  const values = `${format(change.before)} -> ${format(change.after)}`;
  return `${values}  (${formatRatio(change.ratio)}, ${formatChange(change.ratio, words)})`;
}

function engineText({ name, package: from, version, device }: ConvertReport['engine']): string {
  const engine = name === 'ort' ? `onnxruntime ${version}` : `TensorFlow.js: ${from} ${version}`;
  return `${engine}, on the ${device.toUpperCase()}`;
}

function totals(report: ConvertReport): readonly (readonly [string, string])[] {
  const { layers, output, seconds, calibration, recalibration, recovery, accuracyBudget, engine } = report;
  const { sensitivity, agreement } = report;
  const { params, macs, latencyMs } = report.totals;
  const factorized = layers.filter((layer) => !isKept(layer)).length;
  const verdict = verdictOf(report);
  const fewer = { less: 'fewer', more: 'more' };
  const phases = `read ${formatSeconds(seconds.read)}, factorize ${formatSeconds(seconds.factorize)}, write ${formatSeconds(seconds.write)}, verify ${formatSeconds(seconds.verify)}`;
  return [
    [
      'layers',
      `${factorized} of ${layers.length} factorized, ${layers.length - factorized} kept${depthwiseText(layers)}`,
    ],
    ['parameters', ratioLine(params, formatCount, fewer)],
    ['MACs', ratioLine(macs, formatCount, fewer)],
    ...(latencyMs === null
      ? []
      : [['latency', ratioLine(latencyMs, formatMilliseconds, { less: 'less', more: 'more' })] as const]),
    ...(calibration === undefined ? [] : [['calibrated', calibrationText(calibration)] as const]),
    ...preparationFact('images', accuracyBudget, calibration, recalibration, report),
    ...(sensitivity === undefined ? [] : [['ranks', sensitivityText(sensitivity)] as const]),
    ...(recalibration === undefined || recalibration.layers === 0
      ? []
      : [['recalibrated', recalibrationText(recalibration)] as const]),
    ...(accuracyBudget === undefined ? [] : [['accuracy', accuracyText(accuracyBudget)] as const]),
    ...(engine.name === 'ort' && engine.device === 'cpu' ? [] : [['fitted by', engineText(engine)] as const]),
    ['check', `${verdict.short}. ${verdict.finding} ${verdict.advice}`],
    ['written', writtenText(output)],
    ['time', `${formatSeconds(seconds.total)}  (${phases})`],
    ...(recovery === undefined ? [] : [['recovered', recoveredText(recovery)] as const]),
    ...(agreement === undefined
      ? []
      : [[recovery === undefined ? 'agreement' : 'before it', agreementText(agreement)] as const]),
    ...(agreement === undefined || agreement.advice === null || recovery !== undefined
      ? []
      : [['advice', agreement.advice] as const]),
  ];
}

/** The report as text for people: one line per layer, the totals, the warnings. Ends with a line break. */
export function renderConvertTable(report: ConvertReport, terminal: Terminal): string {
  const { model } = report;
  const about = [`opset ${model.opset}`, `input ${model.inputShape.join('x')}`, model.producer].filter(
    (fact) => fact !== '',
  );
  const title = `${paint(terminal, 'bold', printable(model.path))}  ${paint(terminal, 'dim', printable(about.join(', ')))}`;
  const warnings = report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`);
  return [
    title,
    '',
    ...(report.layers.length === 0
      ? ['no convolution or dense layer']
      : renderTable(COLUMNS, numbered(report.layers), terminal)),
    '',
    ...(report.tradeOff?.points.some(({ isChosen }) => isChosen) === true
      ? [
          ...renderTradeOff({ ...report.tradeOff, points: fewerPoints(report.tradeOff.points, mostPoints) }, terminal),
          '',
        ]
      : []),
    ...(report.accuracyBudget === undefined ? [] : [...renderTrials(report, report.accuracyBudget, terminal), '']),
    ...renderFacts(totals(report), terminal),
    ...(warnings.length === 0 ? [] : ['', ...warnings]),
    '',
  ].join('\n');
}
