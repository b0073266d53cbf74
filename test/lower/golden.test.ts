import { describe, expect, it } from 'vitest';
import { lowerForwardFor } from '../../src/lower/chwn/forward.js';
import { probeBlockedConv } from '../../src/lower/chwn/probe.js';
import type { LowerOptions } from '../../src/lower/chwn/rule.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { goldenNames, hasGoldens, readGolden } from './support/golden.js';
import { difference, repeated, runStep, smoothedTargets } from './support/step.js';

const blockSize = await probeBlockedConv(await loadDriver());

interface Kind {
  readonly name: string;
  readonly options: LowerOptions;
  /** How often the batch is repeated, which changes neither the mean loss nor its gradients nor the statistics. */
  readonly copies: number;
}

const kinds: readonly Kind[] = [
  { name: 'standard operators', options: { hasContribOperators: false }, copies: 1 },
  { name: 'com.microsoft', options: { hasContribOperators: true }, copies: 1 },
  ...(blockSize === undefined
    ? []
    : [2, 4].map((copies) => ({
        name: `blocks of ${blockSize}, batch of ${8 * copies}`,
        options: { hasContribOperators: true, blockSize },
        copies,
      }))),
];

describe.skipIf(!hasGoldens)('gradients in the batch-last layout against PyTorch in float64', () => {
  for (const { name: kind, options, copies } of kinds) {
    it.each(goldenNames)(`%s, ${kind}`, async (name) => {
      const { model, tensors, atol } = readGolden(name);
      const [x, y] = [tensors.get('x')!, tensors.get('y')!];
      const logits = tensors.get('logits')!;
      const images = repeated(x.data as Float32Array, copies);
      const result = await runStep(
        {
          model,
          images: { type: 'float32', dims: [x.dims[0]! * copies, ...x.dims.slice(1)], data: images },
          targets: smoothedTargets(Array.from({ length: copies }, () => [...y.data]).flat(), logits.dims[1]!, 0.1),
        },
        lowerForwardFor(options),
      );
      const expected = repeated(logits.data as Float32Array, copies);
      expect(difference(result.logits, expected).error, 'logits').toBeLessThanOrEqual(atol('logits'));
      for (const [key, { data }] of tensors) {
        if (!key.startsWith('grad0/')) continue;
        const gradient = result.gradients.get(key.slice('grad0/'.length));
        expect(gradient, key).toBeDefined();
        expect(difference(gradient!, data as Float32Array).error, key).toBeLessThanOrEqual(atol(key));
      }
    });
  }
});
