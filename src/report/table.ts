import { displayWidth, pad, printable, truncate, wrap } from './text.js';
import { paint, type Paint, type Terminal } from './terminal.js';

export interface Column<Row> {
  readonly header: string;
  /** Numbers go to the right. */
  readonly align: 'left' | 'right';
  /** Where the terminal is too narrow, the column with the smallest importance goes first. */
  readonly importance: number;
  /** The column may be shortened to this many characters before others are dropped. Default: never. */
  readonly shrinkTo?: number;
  /** Where to cut. Default: 'end'. */
  readonly cut?: 'middle' | 'end';
  /** '' where there is nothing to say. */
  value(row: Row): string;
  paint?(row: Row): Paint | undefined;
}

const GAP = '  ';

interface Laid<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly natural: number;
  readonly smallest: number;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function totalWidth(widths: readonly number[]): number {
  return sum(widths) + GAP.length * Math.max(0, widths.length - 1);
}

/** Columns that fit: empty ones are left out, then the least important ones go until the smallest widths fit. */
function choose<Row>(columns: readonly Laid<Row>[], available: number): readonly Laid<Row>[] {
  let chosen = columns;
  while (chosen.length > 1 && totalWidth(chosen.map(({ smallest }) => smallest)) > available) {
    const least = Math.min(...chosen.map(({ column }) => column.importance));
    const victim = chosen.findLastIndex(({ column }) => column.importance === least);
    chosen = chosen.toSpliced(victim, 1);
  }
  return chosen;
}

/** Widths between smallest and natural that fit: what is left over goes to the most important columns first. */
function distribute<Row>(columns: readonly Laid<Row>[], available: number): readonly number[] {
  const widths = columns.map(({ smallest }) => Math.min(smallest, available));
  let spare = available - totalWidth(widths);
  const byImportance = columns
    .map(({ column }, index) => ({ importance: column.importance, index }))
    .toSorted((a, b) => b.importance - a.importance);
  for (const { index } of byImportance) {
    const width = widths[index] ?? 0;
    const more = Math.max(0, Math.min(spare, (columns[index]?.natural ?? 0) - width));
    widths[index] = width + more;
    spare -= more;
  }
  return widths;
}

/**
 * An aligned table without borders, in lines without trailing spaces. On a terminal no line is wider than
 * `terminal.columns`. A column in which every cell is empty is left out. Plain ASCII unless the cells are not.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  terminal: Terminal,
): readonly string[] {
  const laid = columns
    .map((column): Laid<Row> => {
      const cells = rows.map((row) => printable(column.value(row)));
      const natural = Math.max(displayWidth(column.header), ...cells.map(displayWidth));
      const smallest = column.shrinkTo === undefined ? natural : Math.min(natural, column.shrinkTo);
      return { column, cells, natural, smallest };
    })
    .filter(({ cells }) => cells.some((cell) => cell !== ''));
  const available = terminal.columns ?? Infinity;
  const chosen = choose(laid, available);
  const widths = distribute(chosen, available);
  const line = (text: (laid: Laid<Row>) => string, colour: (column: Column<Row>) => Paint | undefined): string =>
    chosen
      .map((laidColumn, index) => {
        const width = widths[index] ?? 0;
        const { align, cut } = laidColumn.column;
        const cell = pad(truncate(text(laidColumn), width, cut), width, align);
        const isLast = index === chosen.length - 1;
        return paint(terminal, colour(laidColumn.column), isLast ? cell.trimEnd() : cell);
      })
      .join(GAP)
      .trimEnd();
  const header = line(
    ({ column }) => column.header,
    () => 'bold',
  );
  const body = rows.map((row, index) =>
    line(
      ({ cells }) => cells[index] ?? '',
      (column) => column.paint?.(row),
    ),
  );
  return [header, ...body];
}

/** Lines "label  value", the values in one column and wrapped in it on a terminal. */
export function renderFacts(
  facts: readonly (readonly [label: string, value: string])[],
  terminal: Terminal,
): readonly string[] {
  const labelWidth = Math.max(0, ...facts.map(([label]) => displayWidth(label)));
  const valueWidth = (terminal.columns ?? Infinity) - labelWidth - GAP.length;
  return facts.flatMap(([label, value]) =>
    wrap(printable(value), Math.max(20, valueWidth)).map((line, index) => {
      const start = paint(terminal, 'dim', pad(index === 0 ? label : '', labelWidth));
      return `${start}${GAP}${line}`;
    }),
  );
}
