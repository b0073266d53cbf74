import { formatBytes, formatWhole, plural } from './format.js';
import { renderFacts } from './table.js';
import { paint, type Terminal } from './terminal.js';
import { printable } from './text.js';
import type { TrainExplainReport } from '../contracts/train-explain.js';

/** What a training would do and why, as text for people. Ends with a line break. */
export function renderTrainExplain(report: TrainExplainReport, terminal: Terminal): string {
  const { model, choices, parameters, kept, gradient, warnings } = report;
  const facts: (readonly [string, string])[] = choices.map(({ name, value, isDefault, why }) => [
    name,
    `${value}${isDefault ? '' : ' (chosen)'}: ${why}`,
  ]);
  const nodes = `${formatWhole(gradient.nodes)} nodes, ${formatWhole(gradient.casts)} of them casts, which read and write ${formatBytes(gradient.bytes)}`;
  return [
    paint(terminal, 'bold', printable(model.path)),
    '',
    ...renderFacts([...facts, ['gradient graph', nodes]], terminal),
    '',
    ...list('trained', parameters, ({ decay }) => (decay ? '' : 'no weight decay')),
    ...(kept.length === 0 ? [] : list('not trained', kept, ({ reason }) => reason)),
    ...warnings.map((line) => `warning: ${printable(line)}`),
    '',
  ].join('\n');
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** One line a tensor, under a heading that counts them. */
function list<T extends Tensor>(heading: string, tensors: readonly T[], say: (tensor: T) => string): string[] {
  const numbers = tensors.reduce((sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1), 0);
  return [
    `${heading}: ${plural(tensors.length, 'tensor')}, ${plural(numbers, 'number')}`,
    ...tensors.map((tensor) => {
      const said = say(tensor);
      return `  ${printable(tensor.name)}  [${tensor.shape.join(', ')}]${said === '' ? '' : `  ${said}`}`;
    }),
    '',
  ];
}
