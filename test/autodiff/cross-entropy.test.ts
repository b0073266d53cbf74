import { describe, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { int, string } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';

const forms = ['mean', 'sum', 'none'].flatMap((reduction) =>
  [false, true].flatMap((hasWeights) => [false, true].map((ignores) => ({ reduction, hasWeights, ignores }))),
);

describe.each(['SoftmaxCrossEntropyLoss', 'NegativeLogLikelihoodLoss'])('gradient of %s', (opType) => {
  it.each(forms)(
    '$reduction, weights $hasWeights, ignored labels $ignores',
    async ({ reduction, hasWeights, ignores }) => {
      const attributes: Record<string, Attribute> = { reduction: string(reduction) };
      if (ignores) attributes['ignore_index'] = int(-1);
      const weights = hasWeights ? [{ values: [0.5, 2, 1.25], dims: [3], fixed: true }] : [];
      const ignored = ignores ? -1 : 0;
      const labels = { ints: [2, ignored, 1, 1, 0, 2, ignored, 2], dims: [4, 2] };
      await checkGradient({ opType, inputs: [{ dims: [4, 3, 2] }, labels, ...weights], attributes });
      const few = { ints: [2, ignored, 1], dims: [3] };
      await checkGradient({ opType, inputs: [{ dims: [3, 3] }, few, ...weights], attributes });
    },
  );
});
