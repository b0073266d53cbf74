import type { Value } from '../../graph/value.js';
import type { LossName } from '../../contracts/train-settings.js';
import { losses } from '../losses/index.js';
import type { Goal } from './goal.js';

/** A loss of logits and labels; `logits`: [N, classes], maybe with axes of 1. */
export function labelGoal(logits: Value, loss: LossName, classes: number): Goal {
  return {
    classes,
    outputs: [logits],
    points: [],
    targets: losses[loss].targets(classes),
    emit: ({ e, outputs: [output], targets, smoothing }) => {
      const main = e.emit('Reshape', [e.wide(output!), e.ints([0, classes])], {}, { name: 'logits' });
      const { gradients, ...emitted } = losses[loss].emit({ e, tensors: { logits: main }, targets, smoothing });
      return { ...emitted, main, gradients: () => ({ outputs: [gradients().logits], points: [] }) };
    },
  };
}
