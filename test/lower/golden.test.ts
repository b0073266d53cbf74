import { describe, expect, it } from 'vitest';
import type { BuildForward } from '../../src/autodiff/forward.js';
import { lowerForwardFor } from '../../src/lower/chwn/forward.js';
import { probeBlockedConv } from '../../src/lower/chwn/probe.js';
import { cudaForward } from '../../src/lower/cuda/forward.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { goldenNames, hasGoldens, readGolden } from './support/golden.js';
import { difference, repeated, runStep, smoothedTargets } from './support/step.js';

const blockSize = await probeBlockedConv(await loadDriver());

interface Kind {
  readonly name: string;
  readonly build: BuildForward;
  /** How often the batch is repeated, which changes neither the mean loss nor its gradients nor the statistics. */
  readonly copies: number;
}

const kinds: readonly Kind[] = [
  { name: 'standard operators', build: lowerForwardFor({ hasContribOperators: false }), copies: 1 },
  { name: 'com.microsoft', build: lowerForwardFor({ hasContribOperators: true }), copies: 1 },
  ...(blockSize === undefined
    ? []
    : [2, 4].map((copies) => ({
        name: `blocks of ${blockSize}, batch of ${8 * copies}`,
        build: lowerForwardFor({ hasContribOperators: true, blockSize }),
        copies,
      }))),
  { name: 'for CUDA', build: cudaForward, copies: 1 },
];

describe.skipIf(!hasGoldens)('gradients in the layouts of devices against PyTorch in float64', () => {
  for (const { name: kind, build, copies } of kinds) {
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
        build,
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
