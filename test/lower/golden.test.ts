import { describe, expect, it } from 'vitest';
import type { BuildForward } from '../../src/autodiff/forward.js';
import { lowerForward, lowerForwardFor } from '../../src/lower/chwn/forward.js';
import { goldenNames, hasGoldens, readGolden } from './support/golden.js';
import { difference, runStep, smoothedTargets } from './support/step.js';

const builds: Readonly<Record<string, BuildForward>> = {
  'standard operators': lowerForward,
  'with com.microsoft': lowerForwardFor({ hasContribOperators: true }),
};

describe.skipIf(!hasGoldens)('gradients in the batch-last layout against PyTorch in float64', () => {
  for (const [kind, build] of Object.entries(builds)) {
    it.each(goldenNames)(`%s, ${kind}`, async (name) => {
      const { model, tensors, atol } = readGolden(name);
      const [x, y] = [tensors.get('x')!, tensors.get('y')!];
      const logits = tensors.get('logits')!;
      const result = await runStep(
        {
          model,
          images: { type: 'float32', dims: x.dims, data: x.data },
          targets: smoothedTargets([...y.data], logits.dims[1]!, 0.1),
        },
        build,
      );
      expect(difference(result.logits, logits.data as Float32Array).error, 'logits').toBeLessThanOrEqual(
        atol('logits'),
      );
      for (const [key, { data }] of tensors) {
        if (!key.startsWith('grad0/')) continue;
        const gradient = result.gradients.get(key.slice('grad0/'.length));
        expect(gradient, key).toBeDefined();
        expect(difference(gradient!, data as Float32Array).error, key).toBeLessThanOrEqual(atol(key));
      }
    });
  }
});
