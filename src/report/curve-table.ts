import type { CurveReport } from '../contracts/convert.js';
import { formatSeconds, plural } from './format.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import { renderTradeOff } from './trade-off-table.js';

/** The report of `convert --curve` as text for people. Ends with a line break. */
export function renderCurve(
  { model, sensitivity, tradeOff, warnings, seconds }: CurveReport,
  terminal: Terminal,
): string {
  const how =
    sensitivity.by === 'gradients'
      ? `gradients of ${plural(sensitivity.images, 'image')}`
      : "the layers' own errors alone";
  return [
    paint(terminal, 'bold', printable(model.path)),
    '',
    ...renderTradeOff(tradeOff, terminal),
    '',
    `by ${how}, ${formatSeconds(seconds)}`,
    ...(warnings.length === 0
      ? []
      : ['', ...warnings.map((line) => `${paint(terminal, 'yellow', 'warning:')} ${printable(line)}`)]),
    '',
  ].join('\n');
}
