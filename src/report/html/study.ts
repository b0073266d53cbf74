import { formatPercent, formatRatio, formatSeconds, formatWhole, plural } from '../format.js';
import type { StudyCell, StudyDifference, StudyGroup, StudyReport } from '../../contracts/study.js';
import { absentText, differenceOf, differenceText, meanText, statusText } from '../study-table.js';
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
  const { architectures, inits, rankScales, seeds, regularizers, status } = report;
  const { level, icon, text } = STATUS[status];
  const grid = [
    plural(architectures.length, 'architecture'),
    plural(regularizers.length, 'regularizer'),
    plural(rankScales.length, 'rank scale'),
    plural(inits.length, 'initialization'),
    plural(seeds.length, 'seed'),
  ].join(' × ');
  const full = report.fullRank ? ', and full-rank references' : '';
  return markup`<p class="eyebrow">lowrank study report</p><h1>${architectures.map(({ name }) => name).join(', ')}</h1><p class="lead">${grid}${full}.</p><div class="verdict ${level}"><span class="icon" aria-hidden="true">${icon}</span><p><strong>${text}.</strong> ${statusText(report)}.</p></div>${warningList(report.warnings)}`;
}

/** Architecture by architecture, regularizer by regularizer. */
function panels(report: StudyReport): readonly { readonly architecture: string; readonly regularizer: string }[] {
  return report.architectures.flatMap(({ name }) =>
    report.regularizers.map((regularizer) => ({ architecture: name, regularizer: regularizer.name })),
  );
}

function panelFigure(
  renderer: ChartRenderer,
  report: StudyReport,
  panel: { readonly architecture: string; readonly regularizer: string },
): Markup | null {
  const { architecture, regularizer } = panel;
  const own = report.groups.filter(
    (group) => group.architecture === architecture && group.regularizer === regularizer && group.mean !== null,
  );
  const lines = report.inits.map((name) => ({
    name,
    points: own
      .filter(({ init }) => init === name)
      .map(({ rankScale, mean, deviation }) => ({ rankScale: rankScale!, mean: mean!, deviation })),
  }));
  if (lines.every(({ points }) => points.length === 0)) return null;
  const full = own.find(({ init }) => init === null);
  const diverged = report.groups
    .filter((group) => group.architecture === architecture && group.regularizer === regularizer)
    .reduce((sum, group) => sum + group.diverged, 0);
  // The regularizers of an architecture share their axis.
  const values = report.groups
    .filter((group) => group.architecture === architecture)
    .flatMap(({ mean, deviation }) => (mean === null ? [] : [mean - (deviation ?? 0), mean + (deviation ?? 0)]));
  const note = `Mean of the seeds ± standard deviation${diverged === 0 ? '' : `; ${plural(diverged, 'cell')} diverged`}`;
  return figure(`${architecture}, ${regularizer}`, note, [
    legend(scaleLegend(report.inits, full === undefined ? undefined : `full rank: ${meanText(full)}`)),
    drawScaleChart(renderer, {
      title: `Top-1 of ${architecture} against rank scale, ${regularizer}`,
      lines,
      reference: full === undefined ? undefined : { name: 'full rank', mean: full.mean! },
      axis: accuracyAxis(values),
    }),
  ]);
}

function differenceFigure(
  renderer: ChartRenderer,
  report: StudyReport,
  { architecture, regularizer }: { readonly architecture: string; readonly regularizer: string },
): Markup | null {
  const drawn = (difference: StudyDifference): boolean => difference.rankScale === null && difference.mean !== null;
  const rows = report.differences
    .filter((one) => one.architecture === architecture && one.regularizer === regularizer)
    .filter(drawn)
    .map(({ init, mean, ci95 }) => ({ name: init, mean: mean!, ci95 }));
  if (rows.length === 0) return null;
  // All architectures share the axis: whether one gains more than another is what is asked.
  const most = roundedMost(
    report.differences.filter(drawn).map(({ init, mean, ci95 }) => ({ name: init, mean: mean!, ci95 })),
  );
  return figure(
    `${architecture}, ${regularizer}`,
    null,
    drawIntervalChart(renderer, {
      title: `Top-1 of ${architecture} minus that of ${report.compareTo ?? ''}, ${regularizer}`,
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

const condition: readonly TableColumn<StudyGroup | StudyCell>[] = [
  { header: 'Architecture', value: ({ architecture }) => architecture },
  { header: 'Regularizer', value: ({ regularizer }) => regularizer },
  { header: 'Rank scale', className: 'number wraps', value: ({ rankScale }) => rankScale ?? 'full' },
  { header: 'Init', value: ({ init }) => init ?? 'full rank' },
];

function groupTable(report: StudyReport): Markup | null {
  const shown = report.groups.filter(({ n, diverged }) => n + diverged > 0);
  if (shown.length === 0) return null;
  const columns: readonly TableColumn<StudyGroup>[] = [
    ...condition,
    { header: 'n', className: 'number', value: ({ n }) => n },
    { header: 'Top\u20111 ± s.d.', className: 'number', value: meanText },
    {
      header: report.compareTo === null ? 'Difference' : `Minus ${report.compareTo}`,
      value: (group) => {
        const difference = differenceOf(report, group);
        return difference === undefined ? '' : differenceText(difference);
      },
    },
    { header: 'Without a result', value: absentText },
  ];
  return section('All conditions', dataTable('All conditions', columns, shown));
}

const optional = (value: number | null, format: (value: number) => string): string =>
  value === null ? '–' : format(value);

const cellColumns: readonly TableColumn<StudyCell>[] = [
  ...condition,
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
  { header: 'Time', className: 'number', value: ({ seconds }) => formatSeconds(seconds) },
  { header: 'Outcome', value: ({ status, reason }) => (reason === null ? status : `${status}: ${reason}`) },
];

function cellTable({ cells }: StudyReport): Markup | null {
  const tried = cells.filter(({ status }) => status !== 'pending');
  if (tried.length === 0) return null;
  const table = dataTable('All cells', cellColumns, tried);
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
      groupTable(report),
      cellTable(report),
      settingsSection({ ...settings.convert, ...settings.train }, report.command, [['seeds', report.seeds.join(', ')]]),
      factsSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}.`,
  });
}
