import type { ClassResult, ConfusionCell, EvalReport, PairedComparison } from '../../contracts/eval.js';
import {
  className,
  comparisonVerdict,
  intervalText,
  mostConfused,
  pointsIntervalText,
  pointsText,
  probabilityText,
} from '../eval-text.js';
import { formatLoss, formatPercent, formatSeconds, formatSpeed, formatWhole, plural } from '../format.js';
import { preparationFact } from '../preparation-text.js';
import { createChartRenderer, type ChartRenderer } from './chart.js';
import { drawClassChart } from './class-chart.js';
import { drawConfusionChart, MOST_COLUMN_CLASSES, MOST_HEAT_MAP_CLASSES } from './confusion-chart.js';
import { fileName, warningList } from './convert-html.js';
import { drawDifferenceChart } from './difference-chart.js';
import { markup, type Content, type Markup } from './markup.js';
import { code, dataTable, details, factList, figure, legend, renderPage, section, type TableColumn } from './page.js';
import { badImageFacts, dataFact, modelFacts, numberCard, settingsSection } from './run-sections.js';
import { colour } from './theme.js';

export interface EvalHtmlOptions {
  /** What repeats the run. Default: the report's `command`. */
  readonly commandLine?: string | undefined;
}

/** Bars that are shown at once. */
const MOST_BARS = 24;
/** A longer table of classes is one click away. */
const MOST_ROWS = 60;
const MOST_PAIRS = 15;
/** Without a heat map, more pairs are one click away. */
const MOST_PAIRS_ALONE = 100;

function header(report: EvalReport): Markup {
  const { n, top1, top5, loss, ci95, perClass, seconds, imagesPerSecond } = report;
  const present = perClass.filter((result) => result.n > 0).length;
  const right = Math.round(n * top1);
  const cards = [
    numberCard('Top-1', formatPercent(top1), `95 % interval: ${intervalText(ci95)}`),
    top5 === null ? null : numberCard('Top-5', formatPercent(top5), 'the label is among the five largest outputs'),
    numberCard('Loss', formatLoss(loss), 'mean cross-entropy, in nats'),
    numberCard('Speed', formatSpeed(imagesPerSecond), `${formatSeconds(seconds.total)} in all`),
  ];
  return markup`<p class="eyebrow">lowrank evaluation</p><h1 class="name">${fileName(report.model.path)}</h1><p class="lead"><strong>${formatWhole(right)} of ${plural(n, 'image')}</strong> of ${formatWhole(present)} classes are right.</p><ul class="cards">${cards}</ul>${warningList(report.warnings)}`;
}

function comparisonSection(renderer: ChartRenderer, report: EvalReport, versus: PairedComparison): Markup {
  const { n, top1 } = report;
  const { onlyFirst, onlySecond } = versus.discordant;
  const both = Math.round(n * top1) - onlyFirst;
  const isShown = versus.pValue < 0.05;
  const level = isShown ? (versus.difference > 0 ? 'good' : 'caution') : '';
  const icon = isShown ? (versus.difference > 0 ? '✓' : '!') : '=';
  return section(
    `Compared with ${fileName(versus.model.path)}`,
    markup`<div class="verdict ${level}"><span class="icon" aria-hidden="true">${icon}</span><p><strong>${pointsText(versus.difference)} points.</strong> ${comparisonVerdict(versus)}</p></div>`,
    drawDifferenceChart(renderer, versus),
    factList([
      ['Top-1 of this model', formatPercent(top1)],
      ['Top-1 of the other', formatPercent(versus.top1)],
      ['95 % interval of the difference', pointsIntervalText(versus.ci95)],
      ['Right in both', formatWhole(both)],
      ['Right in this model only', formatWhole(onlyFirst)],
      ['Right in the other only', formatWhole(onlySecond)],
      ['Wrong in both', formatWhole(n - both - onlyFirst - onlySecond)],
      ['Exact McNemar test', `p ${versus.pValue < 0.001 ? '' : '= '}${probabilityText(versus.pValue)}`],
    ]),
    markup`<p class="note">Both models saw the same images, so the interval (Bonett and Price, 2012) and the test are paired: only the images that one of them has right tell them apart.</p>`,
  );
}

function classFigure(renderer: ChartRenderer, perClass: readonly ClassResult[]): Markup {
  const present = perClass.filter(({ n }) => n > 0);
  const worst = present.toSorted((a, b) => (a.top1 ?? 0) - (b.top1 ?? 0)).slice(0, MOST_BARS);
  const note =
    present.length > MOST_BARS
      ? `The ${MOST_BARS} worst of ${formatWhole(present.length)} classes`
      : 'All classes with images, the worst first';
  return figure('Top-1 of each class', note, drawClassChart(renderer, worst));
}

function pairColumns(report: EvalReport): readonly TableColumn<ConfusionCell>[] {
  const name = (index: number): Content => markup`<span class="name">${className(report, index)}</span>`;
  return [
    { header: 'Label', value: ({ actual }) => name(actual) },
    { header: 'Taken for', value: ({ predicted }) => name(predicted) },
    { header: 'Images', className: 'number', value: ({ count }) => formatWhole(count) },
    {
      header: 'Of the label',
      className: 'number',
      value: ({ actual, count }) => formatPercent(count / Math.max(1, report.perClass[actual]?.n ?? 0)),
    },
  ];
}

/** The first pairs, and up to `count` of them one click away; nothing where nothing was confused. */
function pairFigure(report: EvalReport, count: number): Markup | null {
  const pairs = mostConfused(report, count);
  if (pairs.length === 0) return null;
  const title = 'Most frequent confusions';
  const table = (rows: readonly ConfusionCell[]): Markup => dataTable(title, pairColumns(report), rows);
  const others = pairs.slice(MOST_PAIRS);
  const rest = others.length === 0 ? null : details(`The next ${others.length}`, table(others));
  return figure(title, null, [table(pairs.slice(0, MOST_PAIRS)), rest]);
}

const HEAT_MAP_LEGEND = legend([
  { shape: 'rect', colour: colour('after'), text: 'right (on the diagonal)' },
  { shape: 'rect', colour: colour('kept'), text: 'wrong' },
]);

function heatMap(renderer: ChartRenderer, report: EvalReport): Markup {
  const note = 'Rows are labels, columns what the model says; the stronger, the larger the share of the row';
  return figure('Confusion', note, [HEAT_MAP_LEGEND, drawConfusionChart(renderer, report)]);
}

function classSections(renderer: ChartRenderer, report: EvalReport): Markup {
  const { perClass } = report;
  const bars = classFigure(renderer, perClass);
  const title = 'Right and wrong by class';
  if (perClass.length > MOST_HEAT_MAP_CLASSES) {
    const pairs = pairFigure(report, MOST_PAIRS_ALONE);
    return section(title, markup`<div class="two">${bars}${pairs}</div>`);
  }
  const pairs = pairFigure(report, MOST_PAIRS);
  const map = heatMap(renderer, report);
  if (perClass.length > MOST_COLUMN_CLASSES) {
    return markup`${section(title, markup`<div class="two">${bars}${pairs}</div>`)}${section('Every class against every other', map)}`;
  }
  return section(title, markup`<div class="two">${map}<div class="stack">${bars}${pairs}</div></div>`);
}

function tableSection({ perClass }: EvalReport): Markup {
  const share = (value: number | null): string => (value === null ? '–' : formatPercent(value));
  const number = (header: string, value: (result: ClassResult) => Content): TableColumn<ClassResult> => ({
    header,
    className: 'number',
    value,
  });
  const table = dataTable(
    'All classes',
    [
      number('#', (result) => result.class),
      { header: 'Class', className: 'label', value: ({ name }) => markup`<span class="name">${name}</span>` },
      number('Images', ({ n }) => formatWhole(n)),
      number('Top-1 (recall)', ({ top1 }) => share(top1)),
      number('Top-5', ({ top5 }) => share(top5)),
      number('Predicted', ({ predicted }) => formatWhole(predicted)),
      number('Precision', ({ precision }) => share(precision)),
    ],
    perClass,
  );
  return section(
    'All classes',
    markup`<p class="muted">Recall is the share of a class's images that were given this class; precision the share of the images given this class that belong to it.</p>`,
    perClass.length <= MOST_ROWS ? table : details(`The table of ${formatWhole(perClass.length)} classes`, table),
  );
}

function factsSection(report: EvalReport): Markup {
  const { versus, seconds } = report;
  return section(
    'Files',
    factList([
      ...modelFacts('Model', report.model),
      ...(versus === null
        ? []
        : ([
            ['Compared with', code(versus.model.path)],
            ['SHA-256', code(versus.model.sha256)],
          ] as const)),
      dataFact('Images', report.data),
      ...preparationFact('Images as inputs', report),
      ...badImageFacts(report.badImages),
      [
        'Time',
        `${formatSeconds(seconds.total)}: prepare ${formatSeconds(seconds.prepare)}, evaluate ${formatSeconds(seconds.evaluate)}`,
      ],
    ]),
  );
}

/** The report of an evaluation as one HTML page, like `convertHtml`. */
export async function evalHtml(report: EvalReport, options: EvalHtmlOptions = {}): Promise<string> {
  const renderer = await createChartRenderer();
  const { tool, versus } = report;
  return renderPage({
    title: `${fileName(report.model.path)} – lowrank evaluation`,
    header: header(report),
    sections: [
      versus === null ? null : comparisonSection(renderer, report, versus),
      classSections(renderer, report),
      tableSection(report),
      settingsSection(report.settings, options.commandLine ?? report.command),
      factsSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}. The interval of top-1 is Wilson's score interval.`,
  });
}
