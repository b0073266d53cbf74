import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { inferShapes } from '../../src/ops/infer.js';
import { openBatch } from '../../src/passes/open-batch.js';
import { buildModel } from '../support/models.js';

interface Case {
  readonly batch: number | string;
  /** Shape of the Reshape of x [batch, 3, 4, 4], or of its Transpose to [3, batch, 4, 4]. */
  readonly target: readonly number[];
  readonly allowZero?: number;
  readonly isTransposed?: boolean;
}

/** The dimensions of the Reshape for a batch of 5. */
function reshaped({ batch, target, allowZero = 0, isTransposed = false }: Case): readonly number[] {
  const model = readModel(
    buildModel({
      inputs: [{ name: 'x', dims: [batch, 3, 4, 4] }],
      outputs: [{ name: 'y' }],
      initializers: [{ name: 'shape', type: 'int64', dims: [target.length], data: BigInt64Array.from(target, BigInt) }],
      nodes: [
        isTransposed
          ? { op: 'Transpose', inputs: ['x'], outputs: ['t'], attributes: { perm: [1, 0, 2, 3] } }
          : { op: 'Relu', inputs: ['x'], outputs: ['t'] },
        { op: 'Reshape', inputs: ['t', 'shape'], outputs: ['y'], attributes: { allowzero: allowZero } },
      ],
    }),
  );
  openBatch(model, model.graph.inputs[0]!);
  return inferShapes(model, { inputShapes: { x: [5, 3, 4, 4] } }).require(model.graph.outputs[0]!).dims;
}

describe('a Reshape to a fixed batch', () => {
  const cases: readonly [string, Case, readonly number[]][] = [
    ['all dimensions named', { batch: 1, target: [1, 48] }, [5, 48]],
    ['another batch than 1', { batch: 8, target: [8, 3, 16] }, [5, 3, 16]],
    ['one is what is left', { batch: 1, target: [1, -1] }, [5, 48]],
    ['zeros are allowed', { batch: 1, target: [1, 3, 16], allowZero: 1 }, [5, 3, 16]],
    ['the batch comes from another place', { batch: 2, target: [2, 3, 16], isTransposed: true }, [5, 3, 16]],
    ['an open model that holds a batch of 1', { batch: 'n', target: [1, 48] }, [5, 48]],
    ['an open model where 1 is meant', { batch: 'n', target: [1, -1, 4, 4] }, [1, 15, 4, 4]],
    ['the batch stays where nothing can be told', { batch: 2, target: [2, -1], isTransposed: true }, [2, 120]],
  ];
  it.each(cases)('%s', (_, example, expected) => {
    expect(reshaped(example)).toEqual(expected);
  });
});
