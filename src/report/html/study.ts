import { formatPercent, formatRatio, formatSeconds, formatWhole, plural } from '../format.js';
import type {
  StudyCell,
  StudyCondition,
  StudyDifference,
  StudyGroup,
  StudyReport,
  StudyTreatmentDifference,
} from '../../contracts/study.js';
import { absentText, differenceOf, differenceText, meanText, recoveryText, statusText } from '../study-table.js';
import { createChartRenderer, type ChartRenderer } from './chart.js';
import { warningList } from './convert-html.js';
import { drawIntervalChart, roundedMost } from './interval-chart.js';
import { markup, type Content, type Markup } from './markup.js';
import { code, dataTable, details, factList, figure, legend, renderPage, section, type TableColumn } from './page.js';
import { dataFact, settingsSection } from './run-sections.js';
import { accuracyAxis, drawScaleChart, scaleLegend } from './scale-chart.js';

const STATUS = {
  finished: { level: 'good', icon: '✓', text: 'Finished' },
  interrupted: { level: 'caution', icon: '!', text: 'Not finished' },
  failed: { level: 'caution', icon: '!', text: 'Some cells failed' },
  planned: { level: 'caution', icon: '!', text: 'Report of what there is' },
} as const;

/** A longer table of cells is one click away. */
const MOST_ROWS = 40;

function header(report: StudyReport): Markup {
  const { architectures, inits, rankScales, seeds, regularizers, treatments = [], status } = report;
  const { level, icon, text } = STATUS[status];
  const grid = [
    plural(architectures.length, 'architecture'),
    ...(treatments.length === 0 ? [] : [plural(treatments.length, 'treatment')]),
    plural(regularizers.length, 'regularizer'),
    plural(rankScales.length, 'rank scale'),
    plural(inits.length, 'initialization'),
    plural(seeds.length, 'seed'),
  ].join(' × ');
  const full = report.fullRank ? ', and full-rank references' : '';
  return markup`<p class="eyebrow">lowrank study report</p><h1>${architectures.map(({ name }) => name).join(', ')}</h1><p class="lead">${grid}${full}.</p><div class="verdict ${level}"><span class="icon" aria-hidden="true">${icon}</span><p><strong>${text}.</strong> ${statusText(report)}.</p></div>${warningList(report.warnings)}`;
}

/** What one chart is of. */
type Panel = Pick<StudyCondition, 'architecture' | 'treatment' | 'regularizer'>;

/** Architecture by architecture, treatment by treatment, regularizer by regularizer; these mean nothing to a recovery alone. */
function panels({ architectures, treatments, regularizers }: StudyReport): readonly Panel[] {
  const treated: readonly Pick<Panel, 'treatment'>[] = treatments?.map((treatment) => ({ treatment })) ?? [{}];
  return architectures.flatMap(({ name: architecture }) =>
    treated.flatMap((one) =>
      regularizers
        .slice(0, one.treatment === 'recovery' ? 1 : regularizers.length)
        .map(({ name: regularizer }): Panel => Object.assign({ architecture, regularizer }, one)),
    ),
  );
}

const isOf = (one: Panel, { architecture, treatment, regularizer }: Panel): boolean =>
  one.architecture === architecture && one.treatment === treatment && one.regularizer === regularizer;

/** "recovery-then-labels, weight decay 0.0001". */
const variantOf = ({ treatment, regularizer }: Panel): string =>
  [...(treatment === undefined ? [] : [treatment]), ...(treatment === 'recovery' ? [] : [regularizer])].join(', ');

function panelFigure(renderer: ChartRenderer, report: StudyReport, panel: Panel): Markup | null {
  const { architecture } = panel;
  const own = report.groups.filter((group) => isOf(group, panel) && group.mean !== null);
  const lines = report.inits.map((name) => ({
    name,
    points: own
      .filter(({ init }) => init === name)
      .map(({ rankScale, mean, deviation }) => ({ rankScale: rankScale!, mean: mean!, deviation })),
  }));
  if (lines.every(({ points }) => points.length === 0)) return null;
  const full = own.find(({ init }) => init === null);
  const diverged = report.groups.filter((group) => isOf(group, panel)).reduce((sum, group) => sum + group.diverged, 0);
  // The treatments and regularizers of an architecture share their axis.
  const values = report.groups
    .filter((group) => group.architecture === architecture)
    .flatMap(({ mean, deviation }) => (mean === null ? [] : [mean - (deviation ?? 0), mean + (deviation ?? 0)]));
  const note = `Mean of the seeds ± standard deviation${diverged === 0 ? '' : `; ${plural(diverged, 'cell')} diverged`}`;
  return figure(`${architecture}, ${variantOf(panel)}`, note, [
    legend(scaleLegend(report.inits, full === undefined ? undefined : `full rank: ${meanText(full)}`)),
    drawScaleChart(renderer, {
      title: `Top-1 of ${architecture} against rank scale, ${variantOf(panel)}`,
      lines,
      reference: full === undefined ? undefined : { name: 'full rank', mean: full.mean! },
      axis: accuracyAxis(values),
    }),
  ]);
}

function differenceFigure(renderer: ChartRenderer, report: StudyReport, panel: Panel): Markup | null {
  const drawn = (difference: StudyDifference): boolean => difference.rankScale === null && difference.mean !== null;
  const rows = report.differences
    .filter((one) => isOf(one, panel))
    .filter(drawn)
    .map(({ init, mean, ci95 }) => ({ name: init, mean: mean!, ci95 }));
  if (rows.length === 0) return null;
  // All architectures share the axis: whether one gains more than another is what is asked.
  const most = roundedMost(
    report.differences.filter(drawn).map(({ init, mean, ci95 }) => ({ name: init, mean: mean!, ci95 })),
  );
  return figure(
    `${panel.architecture}, ${variantOf(panel)}`,
    null,
    drawIntervalChart(renderer, {
      title: `Top-1 of ${panel.architecture} minus that of ${report.compareTo ?? ''}, ${variantOf(panel)}`,
      rows,
      most,
    }),
  );
}

function curves(renderer: ChartRenderer, report: StudyReport): Markup | null {
  const figures = panels(report).map((panel) => panelFigure(renderer, report, panel));
  if (figures.every((each) => each === null)) return null;
  return section('Top-1 against rank scale', markup`<div class="two">${figures}</div>`);
}

function differences(renderer: ChartRenderer, report: StudyReport): Markup | null {
  const figures = panels(report).map((panel) => differenceFigure(renderer, report, panel));
  if (report.compareTo === null || figures.every((each) => each === null)) return null;
  return section(
    `Against ${report.compareTo}`,
    markup`<p>Paired: the same full-rank draw, order of images and rank scale. Right of 0 is better. Means over all rank scales and seeds with their 95 % intervals (Student's t), not adjusted for the number of comparisons.</p>`,
    markup`<div class="two">${figures}</div>`,
  );
}

const conditionColumns = ({ treatments }: StudyReport): readonly TableColumn<StudyGroup | StudyCell>[] => [
  { header: 'Architecture', value: ({ architecture }) => architecture },
  ...(treatments === undefined
    ? []
    : [{ header: 'Treatment', value: ({ treatment }: StudyCondition) => treatment ?? '' }]),
  { header: 'Regularizer', value: ({ regularizer }) => regularizer },
  { header: 'Rank scale', className: 'number wraps', value: ({ rankScale }) => rankScale ?? 'full' },
  { header: 'Init', value: ({ init }) => init ?? 'full rank' },
];

/** Treatments side by side: the same starts and seeds. */
function treatmentTable({ treatmentDifferences = [] }: StudyReport): Markup | null {
  const shown = treatmentDifferences.filter(({ n }) => n > 0);
  const [first] = shown;
  if (first === undefined) return null;
  const columns: readonly TableColumn<StudyTreatmentDifference>[] = [
    { header: 'Architecture', value: ({ architecture }) => architecture },
    { header: 'Regularizer', value: ({ regularizer }) => regularizer },
    { header: 'Treatment', value: ({ treatment }) => treatment },
    { header: 'Pairs', className: 'number', value: ({ n }) => n },
    { header: `Top\u20111 minus ${first.against}`, value: differenceText },
    { header: 'Left out', className: 'number', value: ({ leftOut }) => leftOut },
  ];
  return section(
    'What the treatments bring',
    markup`<p class="muted">Paired by start and seed, over all rank scales and initializations; means with their 95 % intervals (Student's t).</p>`,
    dataTable('What the treatments bring', columns, shown),
  );
}

function groupTable(report: StudyReport): Markup | null {
  const shown = report.groups.filter(({ n, diverged }) => n + diverged > 0);
  if (shown.length === 0) return null;
  const columns: readonly TableColumn<StudyGroup>[] = [
    ...conditionColumns(report),
    { header: 'n', className: 'number', value: ({ n }) => n },
    { header: 'Top\u20111 ± s.d.', className: 'number', value: meanText },
    {
      header: report.compareTo === null ? 'Difference' : `Minus ${report.compareTo}`,
      value: (group) => {
        const difference = differenceOf(report, group);
        return difference === undefined ? '' : differenceText(difference);
      },
    },
    ...(report.treatments === undefined
      ? []
      : [{ header: 'Recovery', value: ({ recovery }: StudyGroup) => recoveryText(recovery) }]),
    { header: 'Without a result', value: absentText },
  ];
  return section('All conditions', dataTable('All conditions', columns, shown));
}

const optional = (value: number | null, format: (value: number) => string): string =>
  value === null ? '–' : format(value);

const cellColumns = (report: StudyReport): readonly TableColumn<StudyCell>[] => [
  ...conditionColumns(report),
  { header: 'Seed', className: 'number', value: ({ seed }) => seed },
  { header: 'Top\u20111', className: 'number', value: ({ top1 }) => optional(top1, formatPercent) },
  { header: 'Loss', className: 'number', value: ({ loss }) => optional(loss, (value) => value.toFixed(4)) },
  {
    header: 'Parameters',
    className: 'number',
    value: ({ params }) => (params === null ? '–' : formatRatio(params.ratio)),
  },
  { header: 'MACs', className: 'number', value: ({ macs }) => (macs === null ? '–' : formatRatio(macs.ratio)) },
  {
    header: 'Function error',
    className: 'number wraps',
    value: ({ functionError }) => optional(functionError, (value) => value.toFixed(3)),
  },
  ...(report.treatments === undefined
    ? []
    : [{ header: 'Recovery', value: ({ recovery }: StudyCell) => recoveryText(recovery) }]),
  { header: 'Time', className: 'number', value: ({ seconds }) => formatSeconds(seconds) },
  { header: 'Outcome', value: ({ status, reason }) => (reason === null ? status : `${status}: ${reason}`) },
];

function cellTable(report: StudyReport): Markup | null {
  const { cells } = report;
  const tried = cells.filter(({ status }) => status !== 'pending');
  if (tried.length === 0) return null;
  const table = dataTable('All cells', cellColumns(report), tried);
  return section('All cells', tried.length <= MOST_ROWS ? table : details(`The table of ${tried.length} cells`, table));
}

function factsSection(report: StudyReport): Markup {
  const { data, seconds, counts } = report;
  const facts: readonly (readonly [string, Content])[] = [
    ['Folder', code(report.folder)],
    dataFact('Training images', data.train),
    dataFact('Validation images', data.val),
    ['Time', `${formatSeconds(seconds.total)}; all cells together ${formatSeconds(seconds.cells)}`],
    ['Cells of earlier runs', formatWhole(counts.reused)],
    ...(counts.unasked === 0
      ? []
      : [['Other cells in the folder', `${formatWhole(counts.unasked)}, of other settings or images`] as const]),
  ];
  return section('Files', factList(facts));
}

/** Those of a recovery under names of their own: some are called as those of trainings. */
function settingsOf({ convert, train, recover = {} }: StudyReport['settings']): Readonly<Record<string, unknown>> {
  const recovery = Object.entries(recover).map(([name, value]) => [`recover.${name}`, value] as const);
  return { ...convert, ...train, ...Object.fromEntries(recovery) };
}

/** The report of a study as one HTML page, like `convertHtml`. */
export async function studyHtml(report: StudyReport): Promise<string> {
  const renderer = await createChartRenderer();
  const { tool, settings } = report;
  return renderPage({
    title: `${report.architectures.map(({ name }) => name).join(', ')} – lowrank study`,
    header: header(report),
    sections: [
      curves(renderer, report),
      differences(renderer, report),
      treatmentTable(report),
      groupTable(report),
      cellTable(report),
      settingsSection(settingsOf(settings), report.command, [['seeds', report.seeds.join(', ')]]),
      factsSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}.`,
  });
}
