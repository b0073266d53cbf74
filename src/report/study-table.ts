import { pointsIntervalText, pointsText } from './eval-text.js';
import { formatLoss, formatPercent, formatSeconds, formatWhole, plural } from './format.js';
import type { Closeness } from '../contracts/recover.js';
import type { StudyDifference, StudyGroup, StudyReport, StudyTreatmentDifference } from '../contracts/study.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';

/** "52.3 ± 0.8 %", in percent of the images right. */
export function meanText({ mean, deviation }: Pick<StudyGroup, 'mean' | 'deviation'>): string {
  if (mean === null) return '';
  return deviation === null ? formatPercent(mean) : `${(100 * mean).toFixed(1)} ± ${(100 * deviation).toFixed(1)} %`;
}

/** "+1.25 points (95 %: -0.10 to +2.60 points)"; '' where there is no pair. */
export function differenceText({ mean, ci95 }: Pick<StudyDifference, 'mean' | 'ci95'>): string {
  if (mean === null) return '';
  return ci95 === null ? `${pointsText(mean)} points` : `${pointsText(mean)} (95 %: ${pointsIntervalText(ci95)})`;
}

/** "agreement 62.0 → 96.0 %, loss 1.9000 → 0.3000": before and behind a recovery; '' where there was none. */
export function recoveryText(recovery: { readonly start: Closeness; readonly written: Closeness } | undefined): string {
  if (recovery === undefined) return '';
  const { start, written } = recovery;
  const loss = `loss ${formatLoss(start.loss)} → ${formatLoss(written.loss)}`;
  if (start.agreement === null || written.agreement === null) return loss;
  return `agreement ${(100 * start.agreement).toFixed(1)} → ${(100 * written.agreement).toFixed(1)} %, ${loss}`;
}

/** Cells of a group without a result: "1 diverged, 2 missing". */
export function absentText({ diverged, missing }: Pick<StudyGroup, 'diverged' | 'missing'>): string {
  return [...(diverged > 0 ? [`${diverged} diverged`] : []), ...(missing > 0 ? [`${missing} missing`] : [])].join(', ');
}

/** The difference of a group's init at its rank scale; undefined for the compared one and for full rank. */
export function differenceOf(report: StudyReport, group: StudyGroup): StudyDifference | undefined {
  return report.differences.find(
    ({ architecture, treatment, regularizer, rankScale, init }) =>
      rankScale !== null &&
      architecture === group.architecture &&
      treatment === group.treatment &&
      regularizer === group.regularizer &&
      rankScale === group.rankScale &&
      init === group.init,
  );
}

/** What a study's state says in one sentence. */
export function statusText({ status, counts }: StudyReport): string {
  const words = [
    `${formatWhole(counts.finished)} of ${plural(counts.cells, 'cell')} finished`,
    ...(counts.diverged > 0 ? [`${formatWhole(counts.diverged)} diverged`] : []),
    ...(counts.failed > 0 ? [`${formatWhole(counts.failed)} failed`] : []),
    ...(counts.pending > 0 ? [`${formatWhole(counts.pending)} to do`] : []),
  ].join(', ');
  return status === 'interrupted' ? `interrupted: ${words}` : words;
}

/** The treatment of a row, where the study has several. */
function treatmentColumn<Row extends Pick<StudyGroup, 'treatment'>>({
  treatments,
}: StudyReport): readonly Column<Row>[] {
  if (treatments === undefined) return [];
  return [{ header: 'treatment', align: 'left', importance: 9, value: ({ treatment }) => treatment ?? '' }];
}

/** How close starts came to their originals, where the study recovers any. */
function recoveryColumn({ treatments }: StudyReport): readonly Column<StudyGroup>[] {
  if (treatments === undefined) return [];
  return [{ header: 'recovery', align: 'left', importance: 4, value: ({ recovery }) => recoveryText(recovery) }];
}

function columns(report: StudyReport): readonly Column<StudyGroup>[] {
  return [
    { header: 'architecture', align: 'left', importance: 8, value: ({ architecture }) => architecture },
    ...treatmentColumn<StudyGroup>(report),
    {
      header: 'regularizer',
      align: 'left',
      importance: 6,
      shrinkTo: 12,
      value: ({ regularizer }) => regularizer,
    },
    { header: 'rank scale', align: 'right', importance: 9, value: ({ rankScale }) => String(rankScale ?? 'full') },
    { header: 'init', align: 'left', importance: 10, value: ({ init }) => init ?? 'full rank' },
    { header: 'n', align: 'right', importance: 5, value: ({ n }) => String(n) },
    { header: 'top-1 ± s.d.', align: 'right', importance: 10, value: meanText },
    {
      header: report.compareTo === null ? '' : `minus ${report.compareTo}`,
      align: 'left',
      importance: 7,
      value: (group) => {
        const difference = differenceOf(report, group);
        return difference === undefined ? '' : differenceText(difference);
      },
    },
    ...recoveryColumn(report),
    { header: '', align: 'left', importance: 4, value: absentText, paint: () => 'yellow' },
  ];
}

/** A table of conditions, the differences over all rank scales, and what is missing. Ends with a line break. */
export function renderStudyTable(report: StudyReport, terminal: Terminal): string {
  const shown = report.groups.filter(({ n, diverged }) => n + diverged > 0);
  const overall = report.differences.filter(({ rankScale, n }) => rankScale === null && n > 0);
  const treated = (report.treatmentDifferences ?? []).filter(({ n }) => n > 0);
  const facts: readonly (readonly [string, string])[] = [
    ['cells', statusText(report)],
    [
      'images',
      `${formatWhole(report.data.train.images)} to train on, ${formatWhole(report.data.val.images)} to validate on`,
    ],
    ['time', `${formatSeconds(report.seconds.total)}; all cells together ${formatSeconds(report.seconds.cells)}`],
    ['folder', report.folder],
  ];
  return [
    ...(shown.length === 0 ? [] : [...renderTable(columns(report), shown, terminal), '']),
    ...(overall.length === 0
      ? []
      : [
          `Over all rank scales, minus ${report.compareTo ?? ''}, paired by rank scale and seed:`,
          ...renderTable<StudyDifference>(
            [
              { header: 'architecture', align: 'left', importance: 8, value: ({ architecture }) => architecture },
              ...treatmentColumn<StudyDifference>(report),
              { header: 'regularizer', align: 'left', importance: 6, value: ({ regularizer }) => regularizer },
              { header: 'init', align: 'left', importance: 10, value: ({ init }) => init },
              { header: 'pairs', align: 'right', importance: 5, value: ({ n }) => String(n) },
              { header: 'top-1', align: 'left', importance: 9, value: differenceText },
            ],
            overall,
            terminal,
          ),
          '',
        ]),
    ...(treated.length === 0
      ? []
      : [
          `Over all rank scales and initializations, minus ${treated[0]!.against}, paired by start and seed:`,
          ...renderTable<StudyTreatmentDifference>(
            [
              { header: 'architecture', align: 'left', importance: 8, value: ({ architecture }) => architecture },
              { header: 'regularizer', align: 'left', importance: 6, value: ({ regularizer }) => regularizer },
              { header: 'treatment', align: 'left', importance: 10, value: ({ treatment }) => treatment },
              { header: 'pairs', align: 'right', importance: 5, value: ({ n }) => String(n) },
              { header: 'top-1', align: 'left', importance: 9, value: differenceText },
            ],
            treated,
            terminal,
          ),
          '',
        ]),
    ...renderFacts(facts, terminal),
    ...report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`),
    '',
  ].join('\n');
}
