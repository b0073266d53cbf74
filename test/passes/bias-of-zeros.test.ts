import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { biasOfZeros } from '../../src/passes/bias-of-zeros.js';
import { runPasses } from '../../src/passes/runner.js';
import { spellOutProjections } from '../../src/passes/spell-out-projections.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel } from '../support/models.js';

const driver = await loadDriver();

async function outputOf(bytes: Uint8Array): Promise<Float32Array> {
  const session = await driver.createSession(bytes);
  try {
    const x = { type: 'float32', dims: [2, 5, 8], data: randomFloats(80, 1, 'x') } as const;
    return (await session.run({ x }))['y']!.data as Float32Array;
  } finally {
    await session.close();
  }
}

/** Attention without a bias ends the process of onnxruntime 1.30: the model is not run as it is. */
const model = buildModel({
  opset: 17,
  inputs: [{ name: 'x', dims: [2, 5, 8] }],
  outputs: [{ name: 'y' }],
  initializers: [{ name: 'w', dims: [8, 24], data: randomFloats(192, 1, 'w') }],
  nodes: [
    {
      ...{ op: 'Attention', domain: 'com.microsoft', name: 'attention' },
      ...{ inputs: ['x', 'w'], outputs: ['y'], attributes: { num_heads: 2 } },
    },
  ],
});

/** The model with the operators of onnxruntime declared. */
function read(): Model {
  const own = readModel(model);
  own.opsets.set('com.microsoft', 1);
  return own;
}

describe('Attention of onnxruntime without a bias', () => {
  it('runs with one of zeros, and computes what its products do', async () => {
    const own = read();
    expect(biasOfZeros(own)).toEqual([expect.stringMatching(/^1 × Attention .* a bias of zeros/)]);
    checkModel(own);
    expect(biasOfZeros(own)).toEqual([]);
    const spelled = read();
    expect(runPasses(spelled, [spellOutProjections]).passes[0]!.changes).toBe(1);
    const wanted = await outputOf(modelBytes(spelled));
    const error = (await outputOf(modelBytes(own))).map((value, at) => Math.abs(value - wanted[at]!));
    expect(Math.max(...error)).toBeLessThan(1e-5);
  });
});
