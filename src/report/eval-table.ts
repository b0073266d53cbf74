import type { ClassResult, EvalReport } from '../contracts/eval.js';
import {
  className,
  comparisonVerdict,
  intervalText,
  mostConfused,
  pointsIntervalText,
  pointsText,
  probabilityText,
} from './eval-text.js';
import { formatLoss, formatPercent, formatSeconds, formatSpeed, formatWhole } from './format.js';
import { preparationFact } from './preparation-text.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import { badImagesText, dataText } from './train-table.js';

/** All classes are shown up to this number, else the worst ones. */
const MOST_CLASSES = 20;
const WORST_CLASSES = 10;
const MOST_CONFUSIONS = 5;

const share = (value: number | null): string => (value === null ? '' : formatPercent(value));

const COLUMNS: readonly Column<ClassResult>[] = [
  { header: '#', align: 'right', importance: 3, value: (result) => String(result.class) },
  {
    header: 'class',
    align: 'left',
    importance: 20,
    shrinkTo: 16,
    cut: 'middle',
    value: ({ name }) => name,
    paint: () => 'cyan',
  },
  { header: 'images', align: 'right', importance: 10, value: ({ n }) => formatWhole(n) },
  { header: 'top-1', align: 'right', importance: 18, value: ({ top1 }) => share(top1) },
  { header: 'top-5', align: 'right', importance: 8, value: ({ top5 }) => share(top5) },
  { header: 'precision', align: 'right', importance: 9, value: ({ precision }) => share(precision) },
];

function facts(report: EvalReport): readonly (readonly [string, string])[] {
  const { versus, seconds } = report;
  const bad = badImagesText(report.badImages);
  const confusions = mostConfused(report, MOST_CONFUSIONS).map(
    ({ actual, predicted, count }) => `${className(report, actual)} as ${className(report, predicted)} ${count}x`,
  );
  return [
    ['top-1', `${formatPercent(report.top1)}  (95 %: ${intervalText(report.ci95)})`],
    ...(report.top5 === null ? [] : [['top-5', formatPercent(report.top5)] as const]),
    ['loss', formatLoss(report.loss)],
    ['images', `${formatWhole(report.n)} evaluated; ${dataText(report.data)}`],
    ...preparationFact('as inputs', report),
    ...(bad === '' ? [] : [['bad images', bad] as const]),
    ...(confusions.length === 0 ? [] : [['most often', confusions.join(', ')] as const]),
    ...(versus === null
      ? []
      : ([
          [
            'versus',
            `${versus.model.path}: top-1 ${formatPercent(versus.top1)}, difference ${pointsText(versus.difference)} points (95 %: ${pointsIntervalText(versus.ci95)})`,
          ],
          [
            '',
            `right in this model only ${formatWhole(versus.discordant.onlyFirst)}, in the other only ${formatWhole(versus.discordant.onlySecond)}; McNemar p ${probabilityText(versus.pValue)}. ${comparisonVerdict(versus)}`,
          ],
        ] as const)),
    ['speed', `${formatSpeed(report.imagesPerSecond)}, ${formatSeconds(seconds.total)} in all`],
  ];
}

/** The report as text for people: classes, headline numbers, comparison, warnings. Ends with a line break. */
export function renderEvalTable(report: EvalReport, terminal: Terminal): string {
  const present = report.perClass.filter(({ n }) => n > 0);
  const rows =
    present.length <= MOST_CLASSES
      ? present
      : present.toSorted((a, b) => (a.top1 ?? 0) - (b.top1 ?? 0)).slice(0, WORST_CLASSES);
  const empty = report.perClass.length - present.length;
  const hidden = [
    rows.length < present.length ? `the ${WORST_CLASSES} worst of ${formatWhole(present.length)} classes` : '',
    empty > 0 ? `classes without images: ${formatWhole(empty)}` : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
  return [
    paint(terminal, 'bold', printable(report.model.path)),
    '',
    ...renderTable(COLUMNS, rows, terminal),
    ...(hidden === '' ? [] : [paint(terminal, 'dim', hidden)]),
    '',
    ...renderFacts(facts(report), terminal),
    ...report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`),
    '',
  ].join('\n');
}
