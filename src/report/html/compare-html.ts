import { calibrationText } from '../calibration-text.js';
import { shownName } from '../../contracts/convert.js';
import type { ComparedInit, ComparedLayer, CompareReport } from '../../contracts/compare.js';
import { errorText, type Measure, measuresOf } from '../compare-measures.js';
import { bestInit, compareAdvice, keptText, recoveredOnText } from '../compare-verdict.js';
import { intervalText, pointsIntervalText, pointsText, probabilityText } from '../eval-text.js';
import { formatChange, formatCount, formatPercent, formatSeconds, plural } from '../format.js';
import { numbered, type NumberedLayer } from '../layer-columns.js';
import { preparationFact } from '../preparation-text.js';
import { createChartRenderer, type ChartRenderer } from './chart.js';
import { fileName, keptSection, warningList } from './convert-html.js';
import { drawGapChart, type GapRow } from './gap-chart.js';
import { drawShareChart } from './share-chart.js';
import { LAYER_COLUMNS, twoLines } from './layer-table.js';
import { markup, type Content, type Markup } from './markup.js';
import { dataTable, details, factList, figure, legend, renderPage, section, type TableColumn } from './page.js';
import { drawRelativeChart, type RelativeSeries, seriesMark } from './relative-chart.js';
import { badImageFacts, dataFact, engineFact, modelFacts, numberCard, settingsSection } from './run-sections.js';
import { colour } from './theme.js';

export interface CompareHtmlOptions {
  /** What repeats the run. Default: the report's `command`. */
  readonly commandLine?: string | undefined;
}

/** Rows of a chart that are shown at once; the others are one click away. */
const MOST_ROWS = 24;
const FEWER = { less: 'fewer', more: 'more' };
/** An initialization whose median error differs from the first one's by more than this part would flatten the others. */
const OFF_SCALE = 0.5;

const isFactorized = (layer: ComparedLayer): boolean => layer.action === 'factorized';
const dash = (text: string): string => (text === '-' ? '–' : text);

function header(report: CompareReport): Markup {
  const { layers, totals, validation, inits } = report;
  const best = bestInit(report);
  const factorized = layers.filter(isFactorized).length;
  const bestCard =
    best === undefined
      ? null
      : validation === null
        ? numberCard(
            'Smallest function error',
            best.name,
            `${errorText(best.functionError)} on average over the layers`,
          )
        : numberCard(
            'Highest top-1',
            best.name,
            best.accuracy === null
              ? ''
              : `${formatPercent(best.accuracy.top1)} (95 %: ${intervalText(best.accuracy.ci95)}); original ${formatPercent(validation.original.top1)}`,
          );
  const cards = [
    bestCard,
    numberCard('Initializations', String(inits.length), inits.map(({ name }) => name).join(', ')),
    numberCard('Layers compared', `${factorized} of ${layers.length}`, 'each at the same scheme and rank for all'),
    numberCard(
      'Converted model',
      formatCount(totals.params.after),
      `parameters, ${formatChange(totals.params.ratio, FEWER)}; ${formatCount(totals.macs.after)} MACs, ${formatChange(totals.macs.ratio, FEWER)}`,
    ),
  ];
  const failed = inits.flatMap(({ name, failure }) => (failure === null ? [] : [`${name} failed: ${failure}`]));
  return markup`<p class="eyebrow">lowrank comparison of initializations</p><h1 class="name">${fileName(report.model.path)}</h1><p class="lead">${compareAdvice(report)}</p><ul class="cards">${cards}</ul>${warningList([...failed, ...report.warnings])}`;
}

/** Columns of which at least one cell says something. */
function filled<Row>(columns: readonly (TableColumn<Row> | null)[]): readonly TableColumn<Row>[] {
  return columns.filter((column) => column !== null);
}

/** What was kept before and behind the recovery of each. */
function recoveryColumns({
  inits,
  validation,
}: CompareReport): readonly (readonly [string, (init: ComparedInit) => Content])[] {
  const hasAgreement = inits.some(({ recovery }) => typeof recovery?.written.agreement === 'number');
  return [
    ...(hasAgreement
      ? [['Agreement', ({ recovery }: ComparedInit) => (recovery ? keptText(recovery).agreement : '–')] as const]
      : []),
    ['Loss', ({ recovery }) => (recovery ? keptText(recovery).loss : '–')],
    ...(validation === null
      ? []
      : [
          [
            'Top-1 recovered',
            ({ recovery }: ComparedInit) =>
              recovery?.accuracy === undefined
                ? '–'
                : twoLines(formatPercent(recovery.accuracy.top1), intervalText(recovery.accuracy.ci95)),
          ] as const,
        ]),
  ];
}

function initTable(report: CompareReport): Markup {
  const { inits, validation, recovery } = report;
  const number = (headerText: string, value: (init: ComparedInit) => Content): TableColumn<ComparedInit> => ({
    header: headerText,
    className: 'number',
    value,
  });
  const first = inits[0]?.name ?? '';
  return dataTable(
    'Initializations',
    filled<ComparedInit>([
      {
        header: 'Initialization',
        className: 'label',
        value: ({ name, summary }) => twoLines(markup`<strong>${name}</strong>`, summary),
      },
      ...measuresOf(report).map(({ short, of }) => number(short, (init) => dash(errorText(of(init))))),
      number('Lowest in', ({ failure, lowestIn }) => (failure === null ? plural(lowestIn, 'layer') : '–')),
      number('Time', ({ seconds }) => formatSeconds(seconds)),
      validation === null
        ? null
        : number('Top-1', ({ accuracy }) =>
            accuracy === null ? '–' : twoLines(formatPercent(accuracy.top1), intervalText(accuracy.ci95)),
          ),
      validation === null
        ? null
        : number(`Points over ${first}`, ({ versusFirst: versus }) =>
            versus === null
              ? '–'
              : twoLines(
                  pointsText(versus.difference),
                  `${pointsIntervalText(versus.ci95).replace(' points', '')}; p ${versus.pValue < 0.001 ? '' : '= '}${probabilityText(versus.pValue)}`,
                ),
          ),
      ...(recovery === undefined ? [] : recoveryColumns(report).map(([title, value]) => number(title, value))),
    ]),
    inits,
  );
}

function initSection(renderer: ChartRenderer, report: CompareReport): Markup {
  const { inits, validation, recovery } = report;
  const rows =
    validation === null
      ? []
      : [
          { name: 'original', colour: 'before' as const, ...validation.original },
          ...inits.flatMap(({ name, accuracy }) =>
            accuracy === null ? [] : [{ name, colour: 'after' as const, ...accuracy }],
          ),
        ].map(({ name, colour: shade, top1, ci95 }) => ({ name, value: top1, ci95, colour: shade }));
  const chart =
    validation === null || rows.length === 1
      ? null
      : figure(
          'Top-1 right after the conversion',
          `${plural(validation.n, 'image')}, the same for all, without fine-tuning; the lines are 95 % intervals`,
          drawShareChart(renderer, rows, {
            title: 'Top-1 of the original and of the model converted with each initialization',
            description: 'The table of initializations holds the numbers.',
          }),
        );
  return section(
    'The initializations',
    markup`<p class="muted">Every layer has the same scheme and rank under all of them. Errors are means over the layers, relative: 0 is exact. The function error is that of the layer's output behind its activation, for random inputs x ~ N(0, I).</p>`,
    initTable(report),
    recovery === undefined ? null : markup`<p class="note">Recovered: ${recoveredOnText(recovery)}.</p>`,
    chart,
    validation === null
      ? null
      : markup`<p class="note">All models saw the same images: the differences, their intervals (Bonett and Price, 2012) and the exact McNemar test are paired.</p>`,
  );
}

interface RelativeRows {
  readonly layers: readonly ComparedLayer[];
  readonly series: readonly RelativeSeries[];
  readonly offScale: readonly string[];
}

/** Errors of every initialization relative to the first one's: error / first − 1. */
function relativeRows(report: CompareReport, key: Measure['key']): RelativeRows {
  const [first, ...others] = report.inits.filter(({ failure }) => failure === null);
  const errorOf = (layer: ComparedLayer, name: string): number | null | undefined => layer.fits[name]?.[key];
  const layers = report.layers.filter(
    (layer) => isFactorized(layer) && first !== undefined && (errorOf(layer, first.name) ?? 0) > 0,
  );
  const all = others.map(({ name }) => ({
    name,
    values: layers.map((layer) => {
      const own = errorOf(layer, name) ?? null;
      return own === null ? null : own / errorOf(layer, first!.name)! - 1;
    }),
  }));
  const isOff = ({ values }: RelativeSeries): boolean => {
    const sizes = values.flatMap((value) => (value === null ? [] : [Math.abs(value)])).toSorted((a, b) => a - b);
    return sizes.length === 0 || sizes[Math.floor(sizes.length / 2)]! > OFF_SCALE;
  };
  return {
    layers,
    series: all.filter((series) => !isOff(series)),
    offScale: all.filter(isOff).map(({ name }) => name),
  };
}

/** How far apart the initializations are in a row. */
function spread(series: readonly RelativeSeries[], row: number): number {
  const values = [0, ...series.flatMap(({ values: own }) => (own[row] === null ? [] : [own[row]!]))];
  return Math.max(...values) - Math.min(...values);
}

function relativeSection(
  renderer: ChartRenderer,
  report: CompareReport,
  { key, title, about }: Measure,
): Markup | null {
  const { layers, series, offScale } = relativeRows(report, key);
  const first = report.inits.find(({ failure }) => failure === null);
  if (first === undefined || layers.length === 0 || series.length === 0) return null;
  const draw = (rows: readonly number[], what: string): Markup =>
    drawRelativeChart(
      renderer,
      rows.map((row) => shownName(layers[row]!)),
      series.map(({ name, values }) => ({ name, values: rows.map((row) => values[row] ?? null) })),
      {
        title: `${title} of ${what}, relative to ${first.name}`,
        description: 'The tables of all layers hold the numbers.',
      },
    );
  const order = layers.map((_, row) => row);
  const shown = new Set(order.toSorted((a, b) => spread(series, b) - spread(series, a)).slice(0, MOST_ROWS));
  const isAll = shown.size === layers.length;
  return section(
    `${title}, layer by layer`,
    markup`<p class="muted">${about} Each mark is how far an initialization lies from ${first.name}, the dashed line: left of it is better.${isAll ? '' : ` Shown are the ${MOST_ROWS} of ${layers.length} layers in which they differ most.`}</p>`,
    legend([
      { shape: 'line', colour: colour('ink'), text: first.name },
      ...series.map(({ name }, index) => {
        const mark = seriesMark(index);
        return { shape: mark.shape, colour: colour(mark.colour), text: name };
      }),
    ]),
    draw(
      order.filter((row) => shown.has(row)),
      'the layers that differ most',
    ),
    offScale.length === 0
      ? null
      : markup`<p class="note">Far off this scale, and not drawn: ${offScale.join(', ')}.</p>`,
    isAll ? null : details(`All ${layers.length} layers in network order`, draw(order, 'all layers')),
  );
}

function gapSection(renderer: ChartRenderer, layers: readonly ComparedLayer[]): Markup | null {
  const rows = layers.flatMap((layer): GapRow[] => {
    const { theorem } = layer;
    if (theorem === null || theorem.bound === null || theorem.gap === null || !(theorem.scale! > 0)) return [];
    return [{ name: shownName(layer), bound: theorem.bound / theorem.scale!, gap: theorem.gap / theorem.scale! }];
  });
  if (rows.length === 0) return null;
  const text = {
    title: 'Lower bound and measured gap between truncated SVD and lfai',
    description: `${plural(rows.length, 'layer')} with ReLU. The table of all layers holds the numbers.`,
  };
  const shown = rows.toSorted((a, b) => b.gap - a.gap).slice(0, MOST_ROWS);
  return section(
    'What the theorem promises, and what came out',
    markup`<p class="muted">Theorem 3.5 of arXiv 2202.00834: on a ReLU layer the truncated SVD loses at least ½ Σ c²(κ(ρ) − ρ)² more than the best pair of its rank, the sum over neurons of norm c that it keeps at cosine ρ. The bound is what the right norms alone gain; the measured gap is R(spectral) − R(lfai). Both as shares of the layer's squared output E‖σ(Wx)‖², largest first.</p>`,
    legend([
      { shape: 'bar', colour: colour('before'), text: 'measured gap' },
      { shape: 'bar', colour: colour('after'), text: 'lower bound' },
    ]),
    drawGapChart(renderer, shown, text),
    shown.length === rows.length
      ? null
      : details(`All ${rows.length} layers in network order`, drawGapChart(renderer, rows, text)),
  );
}

function errorColumns(
  { inits, layers }: CompareReport,
  { key }: Measure,
): readonly TableColumn<NumberedLayer<ComparedLayer>>[] {
  return inits
    .filter(({ name }) => layers.some(({ fits }) => fits[name] !== undefined))
    .map(({ name }) => ({
      header: name,
      className: 'number error',
      value: ({ layer }) => {
        const fit = layer.fits[name];
        return fit === undefined ? '–' : twoLines(dash(errorText(fit[key])), formatSeconds(fit.seconds));
      },
    }));
}

const RANK_COLUMN: TableColumn<NumberedLayer<ComparedLayer>> = {
  header: 'Rank',
  className: 'number',
  value: ({ layer }) => (layer.rank === null ? '–' : twoLines(`${layer.rank} of ${layer.maxRank}`, layer.scheme)),
};

const THEOREM_COLUMN: TableColumn<NumberedLayer<ComparedLayer>> = {
  header: 'Bound, gap (1/d)',
  className: 'number error',
  value: ({ layer: { theorem } }) =>
    theorem === null ? '–' : twoLines(dash(errorText(theorem.bound)), theorem.reason ?? dash(errorText(theorem.gap))),
};

function layerSection(report: CompareReport): Markup {
  const rows = numbered(report.layers).filter(({ layer }) => isFactorized(layer));
  const table = (measure: Measure, more: readonly TableColumn<NumberedLayer<ComparedLayer>>[]): Markup =>
    dataTable(
      `${measure.title} of all layers`,
      [...LAYER_COLUMNS, RANK_COLUMN, ...errorColumns(report, measure), ...more],
      rows,
      'layers',
    );
  const [main, ...others] = measuresOf(report);
  return section(
    'All compared layers',
    markup`<p class="muted">In network order: the ${main!.title.toLowerCase()}, and below it the time of the fit. Bound and gap of the theorem are divided by the input dimension d = in · kh · kw, as in the paper.</p>`,
    table(main!, [THEOREM_COLUMN]),
    others.map((measure) => details(`${measure.title} of all layers`, table(measure, []))),
  );
}

function factsSection({ model, engine, calibration, validation, recovery, leftOut, seconds }: CompareReport): Markup {
  return section(
    'Files',
    factList([
      ...modelFacts('Model', model),
      ...(validation === null ? [] : [dataFact('Images', validation.data), ...badImageFacts(validation.badImages)]),
      ...(calibration === undefined ? [] : [['Calibrated', calibrationText(calibration)] as const]),
      ...preparationFact('Images as inputs', validation, calibration, recovery),
      ...leftOut.map(({ name, reason }) => ['Left out', `${name}: ${reason}`] as const),
      engineFact(engine),
      [
        'Time',
        `${formatSeconds(seconds.total)}: prepare ${formatSeconds(seconds.prepare)}, fit ${formatSeconds(seconds.fit)}, evaluate ${formatSeconds(seconds.evaluate)}${seconds.recover === undefined ? '' : `, recover ${formatSeconds(seconds.recover)}`}`,
      ],
    ]),
  );
}

/** The report of a comparison as one HTML page, like `convertHtml`. */
export async function compareHtml(report: CompareReport, options: CompareHtmlOptions = {}): Promise<string> {
  const renderer = await createChartRenderer();
  const { tool, layers } = report;
  const hasLayers = layers.some(isFactorized);
  return renderPage({
    title: `${fileName(report.model.path)} – lowrank comparison`,
    header: header(report),
    sections: [
      initSection(renderer, report),
      ...measuresOf(report)
        .filter(({ isDrawn }) => isDrawn)
        .map((measure) => relativeSection(renderer, report, measure)),
      gapSection(renderer, layers),
      hasLayers ? layerSection(report) : null,
      keptSection(layers),
      settingsSection(report.settings, options.commandLine ?? report.command, [['seed', report.seed]]),
      factsSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}. Nothing else was written: the model is as it was.`,
  });
}
