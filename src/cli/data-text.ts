import type { DataCheck, Spread } from '../data/check.js';
import { formatBytes, formatRatio, formatWhole, plural } from '../report/format.js';
import { renderFacts, renderTable } from '../report/table.js';
import { paint, type Terminal } from '../report/terminal.js';
import { printable } from '../report/text.js';

type ClassRow = DataCheck['classes'][number];
type Fact = readonly [label: string, value: string];

/** Beyond this, the table shows the largest and the smallest classes. */
const mostRows = 40;
const mostBad = 100;

/** `lowrank data check` for people: classes, facts, bad images. */
export function dataCheckText(path: string, found: DataCheck, imagesPerSecond: number, terminal: Terminal): string {
  const { classes, bad } = found;
  const isCut = classes.length > mostRows;
  const verdict =
    bad.length === 0
      ? paint(terminal, 'green', 'every image can be decoded')
      : paint(terminal, 'red', `${plural(bad.length, 'bad image')}:`);
  return [
    ...classTable(isCut ? extremes(classes) : classes, terminal),
    ...(isCut ? [`(the largest and the smallest of ${formatWhole(classes.length)} classes; all with --json)`] : []),
    '',
    ...renderFacts([...factsOf(path, found), ['speed', `${imagesPerSecond.toFixed(0)} images/s`]], terminal),
    '',
    verdict,
    ...bad.slice(0, mostBad).map(({ name, reason }) => `  ${printable(name)}: ${printable(reason)}`),
    ...(bad.length > mostBad ? [`  ... ${formatWhole(bad.length - mostBad)} more; all with --json`] : []),
    '',
  ].join('\n');
}

function extremes(classes: readonly ClassRow[]): readonly ClassRow[] {
  const sorted = classes.toSorted((one, other) => other.images - one.images || one.label - other.label);
  return [...sorted.slice(0, mostRows / 2), ...sorted.slice(-mostRows / 2)];
}

function classTable(rows: readonly ClassRow[], terminal: Terminal): readonly string[] {
  return renderTable<ClassRow>(
    [
      { header: 'label', align: 'right', importance: 4, value: ({ label }) => String(label) },
      { header: 'class', align: 'left', importance: 5, shrinkTo: 12, value: ({ id }) => id },
      {
        header: 'title',
        align: 'left',
        importance: 1,
        shrinkTo: 10,
        value: ({ id, title }) => (title === id ? '' : title),
      },
      { header: 'images', align: 'right', importance: 3, value: ({ images }) => formatWhole(images) },
      {
        header: 'bad',
        align: 'right',
        importance: 2,
        value: ({ bad }) => (bad === 0 ? '' : formatWhole(bad)),
        paint: () => 'red',
      },
    ],
    rows,
    terminal,
  );
}

function factsOf(path: string, found: DataCheck): readonly Fact[] {
  const { classes, balance, sizes, kinds, formats } = found;
  const used = classes.length - balance.empty.length;
  const spread = ({ smallest, median, largest }: Spread, format: (value: number) => string): string =>
    `${format(smallest)} to ${format(largest)}, median ${format(median)}`;
  const converted = [
    [kinds.grey, 'grey'],
    [kinds.cmyk, 'CMYK'],
    [kinds.deep, 'of more than 8 bits'],
  ] as const;
  const facts: Fact[] = [
    ['data set', `${path} (${found.format})`],
    ['images', `${formatWhole(found.images)} in ${formatWhole(used)} ${used === 1 ? 'class' : 'classes'}`],
    [
      'balance',
      `${formatWhole(balance.smallest)} to ${formatWhole(balance.largest)} per class, ratio ${formatRatio(balance.ratio)}`,
    ],
  ];
  if (balance.empty.length > 0) facts.push(['empty', `${formatWhole(balance.empty.length)} without images`]);
  if (sizes !== null) {
    facts.push(['width', spread(sizes.width, String)], ['height', spread(sizes.height, String)]);
    facts.push(['file size', spread(sizes.bytes, formatBytes)]);
  }
  const list = (items: readonly (readonly [number, string])[]): string =>
    items
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${formatWhole(count)} ${what}`)
      .join(', ');
  facts.push(['formats', list(Object.entries(formats).map(([format, count]) => [count, format] as const))]);
  if (converted.some(([count]) => count > 0)) facts.push(['converted to 8-bit RGB', list(converted)]);
  return facts;
}
