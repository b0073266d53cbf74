import type { AgreementReport, OutputAgreement, PictureMean } from '../contracts/agreement.js';
import { intervalText } from './eval-text.js';
import { formatError, formatPercent, formatSeconds, formatSmall, formatSpeed, formatWhole, plural } from './format.js';
import { preparationFact } from './preparation-text.js';
import { renderFacts, renderTable, type Column } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import { badImagesText } from './train-table.js';

const share = (value: number | undefined): string => (value === undefined ? '' : formatPercent(value));

const columns: readonly Column<OutputAgreement>[] = [
  {
    header: 'output',
    align: 'left',
    importance: 20,
    shrinkTo: 12,
    cut: 'middle',
    value: ({ name }) => name,
    paint: () => 'cyan',
  },
  { header: 'shape', align: 'left', importance: 5, value: ({ shape }) => shape.join('x') },
  {
    header: 'relative error',
    align: 'right',
    importance: 18,
    value: ({ relativeError }) => (relativeError === null ? '' : formatError(relativeError.mean)),
  },
  {
    header: '95 %',
    align: 'right',
    importance: 10,
    value: ({ relativeError }) => rangeText(relativeError, formatError),
  },
  { header: 'mean IoU', align: 'right', importance: 17, value: ({ map }) => share(map?.meanIoU) },
  {
    header: 'same pixels',
    align: 'right',
    importance: 15,
    value: ({ map }) => share(map?.pixels.mean),
  },
  { header: '95 %', align: 'right', importance: 8, value: ({ map }) => rangeText(map?.pixels, formatPercent) },
  { header: 'same number', align: 'right', importance: 14, value: ({ label }) => share(label?.share) },
];

function rangeText(mean: PictureMean | null | undefined, format: (value: number) => string): string {
  const interval = mean?.ci95;
  return interval === undefined || interval === null ? '' : `${format(interval[0])} to ${format(interval[1])}`;
}

function facts(report: AgreementReport): readonly (readonly [string, string])[] {
  const { top1, kl, images, data, seconds, badImages } = report;
  const bad = badImagesText(badImages);
  const range = rangeText(kl, formatSmall);
  return [
    ...(top1 === null
      ? []
      : [['same class', `${formatPercent(top1.share)}  (95 %: ${intervalText(top1.ci95)})`] as const]),
    ...(kl === null
      ? []
      : [['KL', `${formatSmall(kl.mean)} nats${range === '' ? '' : `  (95 %: ${range})`}`] as const]),
    ['images', `${formatWhole(images)} compared; ${plural(data.images, 'image')}, ${printable(data.path)}`],
    ...preparationFact('as inputs', report),
    ...(bad === '' ? [] : [['bad images', bad] as const]),
    ['speed', `${formatSpeed(report.imagesPerSecond)}, ${formatSeconds(seconds.total)} in all`],
  ];
}

/** How much a model agrees with another, as text for people: outputs, classes, warnings. Ends with a line break. */
export function renderAgreementTable(report: AgreementReport, terminal: Terminal): string {
  const { model, original, outputs, warnings } = report;
  return [
    `${paint(terminal, 'bold', printable(model.path))} against ${printable(original.path)}`,
    '',
    ...(outputs.length === 0 ? [] : [...renderTable(columns, outputs, terminal), '']),
    ...renderFacts(facts(report), terminal),
    ...warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`),
    '',
  ].join('\n');
}
