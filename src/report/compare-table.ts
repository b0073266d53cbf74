import { calibrationText } from './calibration-text.js';
import { preparationFact } from './preparation-text.js';
import type { ComparedFit, ComparedInit, ComparedLayer, CompareReport } from '../contracts/compare.js';
import { errorText, type Measure, measuresOf } from './compare-measures.js';
import { compareAdvice, keptText, recoveredOnText } from './compare-verdict.js';
import { intervalText, pointsText } from './eval-text.js';
import { formatChange, formatCount, formatPercent, formatSeconds, plural } from './format.js';
import { IDENTITY_COLUMNS, numbered, type NumberedLayer } from './layer-columns.js';
import { type Column, renderFacts, renderTable } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import { badImagesText, dataText } from './train-table.js';

type Row = NumberedLayer<ComparedLayer>;

const isFactorized = (layer: ComparedLayer): boolean => layer.action === 'factorized';

/** The smallest value that a layer has under any initialization; undefined where all are the same. */
function lowest(fits: readonly (ComparedFit | undefined)[], key: Measure['key']): string | undefined {
  const shown = fits.flatMap((fit) => (fit === undefined || typeof fit[key] !== 'number' ? [] : [fit[key]]));
  const texts = new Set(shown.map(errorText));
  return texts.size < 2 ? undefined : errorText(Math.min(...shown));
}

function errorColumn(name: string, key: Measure['key']): Column<Row> {
  return {
    header: name,
    align: 'right',
    importance: 15,
    value: ({ layer }) => errorText(layer.fits[name]?.[key]),
    paint: ({ layer }) => {
      const best = lowest(Object.values(layer.fits), key);
      return best !== undefined && errorText(layer.fits[name]?.[key]) === best ? 'green' : undefined;
    },
  };
}

const THEOREM_COLUMNS: readonly Column<Row>[] = [
  {
    header: 'bound',
    align: 'right',
    importance: 9,
    value: ({ layer }) => errorText(layer.theorem?.bound),
  },
  { header: 'gap', align: 'right', importance: 9, value: ({ layer }) => errorText(layer.theorem?.gap) },
];

function layerTable({ inits, layers }: CompareReport, { key }: Measure, terminal: Terminal): readonly string[] {
  const columns: readonly Column<Row>[] = [
    ...IDENTITY_COLUMNS,
    { header: 'behind it', align: 'left', importance: 7, value: ({ layer }) => layer.activation },
    { header: 'scheme', align: 'left', importance: 6, value: ({ layer }) => layer.scheme ?? '' },
    {
      header: 'rank/max',
      align: 'right',
      importance: 10,
      value: ({ layer }) => (layer.rank === null ? '' : `${layer.rank}/${layer.maxRank}`),
    },
    ...inits.filter(({ failure }) => failure === null).map(({ name }) => errorColumn(name, key)),
    ...(key === 'functionError' ? THEOREM_COLUMNS : []),
  ];
  return renderTable(
    columns,
    numbered(layers).filter(({ layer }) => isFactorized(layer)),
    terminal,
  );
}

const INIT_COLUMNS: readonly Column<ComparedInit>[] = [
  { header: 'init', align: 'left', importance: 20, value: ({ name }) => name, paint: () => 'cyan' },
  { header: 'weight err', align: 'right', importance: 12, value: (init) => meanText(init, init.weightError) },
  { header: 'function err', align: 'right', importance: 15, value: (init) => meanText(init, init.functionError) },
  {
    header: 'on images',
    align: 'right',
    importance: 13,
    value: (init) => (init.dataFunctionError === undefined ? '' : meanText(init, init.dataFunctionError)),
  },
  {
    header: 'lowest in',
    align: 'right',
    importance: 8,
    value: ({ failure, lowestIn }) => (failure === null ? plural(lowestIn, 'layer') : ''),
  },
  { header: 'time', align: 'right', importance: 14, value: ({ seconds }) => formatSeconds(seconds) },
  {
    header: 'top-1',
    align: 'right',
    importance: 19,
    value: ({ accuracy }) => (accuracy === null ? '' : formatPercent(accuracy.top1)),
  },
  {
    header: '95 %',
    align: 'right',
    importance: 17,
    value: ({ accuracy }) => (accuracy === null ? '' : intervalText(accuracy.ci95)),
  },
  {
    header: 'over the first, 95 %',
    align: 'right',
    importance: 16,
    value: ({ versusFirst: versus }) =>
      versus === null
        ? ''
        : `${pointsText(versus.difference)} [${pointsText(versus.ci95[0])}, ${pointsText(versus.ci95[1])}]`,
  },
  {
    header: 'agreement',
    align: 'right',
    importance: 18,
    value: ({ recovery }) => (recovery ? keptText(recovery).agreement : ''),
  },
  {
    header: 'loss',
    align: 'right',
    importance: 17,
    value: ({ recovery }) => (recovery ? keptText(recovery).loss : ''),
  },
  {
    header: 'top-1 recovered',
    align: 'right',
    importance: 18,
    value: ({ recovery }) => (recovery?.accuracy === undefined ? '' : formatPercent(recovery.accuracy.top1)),
  },
];

function meanText({ failure }: ComparedInit, mean: number | null): string {
  return failure === null ? errorText(mean) : 'failed';
}

function facts(report: CompareReport): readonly (readonly [string, string])[] {
  const { layers, totals, calibration, validation, recovery, seconds, leftOut } = report;
  const factorized = layers.filter(isFactorized);
  const fewer = { less: 'fewer', more: 'more' };
  const bounded = factorized.filter(({ theorem }) => theorem !== null && theorem.bound !== null);
  const bad = validation === null ? '' : badImagesText(validation.badImages);
  return [
    ['layers', `${factorized.length} of ${layers.length} compared, the others kept at full rank`],
    [
      'converted',
      `${formatCount(totals.params.after)} parameters (${formatChange(totals.params.ratio, fewer)}), ${formatCount(totals.macs.after)} MACs (${formatChange(totals.macs.ratio, fewer)}), whatever the init`,
    ],
    ...(bounded.length === 0
      ? []
      : [
          [
            'theorem 3.5',
            `bound: the least that spectral loses more than the optimum, (1/2d) sum c^2(kappa-rho)^2; gap: what it loses more than lfai, as measured; ReLU layers, ${bounded.length} of ${factorized.length}`,
          ] as const,
        ]),
    ...(calibration === undefined ? [] : [['calibrated', calibrationText(calibration)] as const]),
    ...preparationFact('images', validation, calibration, recovery),
    ...leftOut.map(({ name, reason }) => ['left out', `${name}: ${reason}`] as const),
    ...(validation === null
      ? []
      : [
          [
            'original',
            `top-1 ${formatPercent(validation.original.top1)}  (95 %: ${intervalText(validation.original.ci95)})`,
          ] as const,
          ['images', `${validation.n} evaluated; ${dataText(validation.data)}`] as const,
        ]),
    ...(bad === '' ? [] : [['bad images', bad] as const]),
    ...(recovery === undefined ? [] : [['recovered', recoveredOnText(recovery)] as const]),
    ['advice', compareAdvice(report)],
    [
      'time',
      `${formatSeconds(seconds.total)}  (fit ${formatSeconds(seconds.fit)}, evaluate ${formatSeconds(seconds.evaluate)}${seconds.recover === undefined ? '' : `, recover ${formatSeconds(seconds.recover)}`}); nothing was written`,
    ],
  ];
}

/** The report as text for people: every layer, every initialization, what to make of it. Ends with a line break. */
export function renderCompareTable(report: CompareReport, terminal: Terminal): string {
  const { model } = report;
  const warnings = report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`);
  const failed = report.inits.flatMap(({ name, failure }) => (failure === null ? [] : [`${name} failed: ${failure}`]));
  const hasLayers = report.layers.some(isFactorized);
  const measureLines = (measure: Measure): readonly string[] =>
    ['', paint(terminal, 'bold', measure.title.toLowerCase())].concat(layerTable(report, measure, terminal));
  const measures = hasLayers ? measuresOf(report).flatMap(measureLines) : [];
  return [
    paint(terminal, 'bold', printable(model.path)),
    ...measures,
    '',
    paint(terminal, 'bold', 'all layers: means'),
    ...renderTable(INIT_COLUMNS, report.inits, terminal),
    '',
    ...renderFacts(facts(report), terminal),
    ...failed.map((line) => `${paint(terminal, 'yellow', 'warning:')} ${printable(line)}`),
    ...warnings,
    '',
  ].join('\n');
}
