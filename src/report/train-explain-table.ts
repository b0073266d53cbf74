import { formatBytes, formatWhole } from './format.js';
import { renderFacts } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import type { TrainExplainReport } from './train-explain-contract.js';

/** What a training would do and why, as text for people. Ends with a line break. */
export function renderTrainExplain(report: TrainExplainReport, terminal: Terminal): string {
  const { model, choices, gradient, warnings } = report;
  const facts: (readonly [string, string])[] = choices.map(({ name, value, isDefault, why }) => [
    name,
    `${value}${isDefault ? '' : ' (chosen)'}: ${why}`,
  ]);
  const nodes = `${formatWhole(gradient.nodes)} nodes, ${formatWhole(gradient.casts)} of them casts, which read and write ${formatBytes(gradient.bytes)}`;
  return [
    paint(terminal, 'bold', printable(model.path)),
    '',
    ...renderFacts([...facts, ['gradient graph', nodes]], terminal),
    ...warnings.map((line) => `warning: ${printable(line)}`),
    '',
  ].join('\n');
}
