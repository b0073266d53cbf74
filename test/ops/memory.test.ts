import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { isOverLimit } from '../../src/limits.js';
import { inferShapes } from '../../src/ops/infer.js';
import { memoryNeed, requireMemory } from '../../src/ops/memory.js';
import { buildModel, type TestNode } from '../support/models.js';

/** A model of `nodes` from x, 1000 floats, to `output`. */
function opened(nodes: readonly TestNode[], output: string, dims: readonly number[] = [1000]) {
  const data = new Float32Array(500);
  const model = readModel(
    buildModel({
      inputs: [{ name: 'x', dims }],
      outputs: [{ name: output }],
      initializers: [{ name: 'w', dims: [500], data }],
      nodes,
    }),
  );
  return { model, shapes: inferShapes(model) };
}

const node = (op: string, inputs: readonly string[], output: string): TestNode => ({
  op,
  inputs,
  outputs: [output],
  attributes: op === 'Concat' ? { axis: 0 } : {},
});

describe('memoryNeed', () => {
  it('counts weights, inputs and what is alive together, in place where an input of the same size ends', () => {
    const { model, shapes } = opened(
      [node('Relu', ['x'], 'a'), node('Relu', ['a'], 'b'), node('Relu', ['b'], 'y')],
      'y',
    );
    // w 2000 bytes, x 4000, one result of 4000 that is overwritten twice.
    expect(memoryNeed(model.graph, shapes)).toMatchObject({ peak: 10_000, weights: 2000, inputs: 4000 });
  });

  it('keeps what a later node still reads, and outputs of the graph', () => {
    const { model, shapes } = opened(
      [
        node('Relu', ['x'], 'a'),
        node('Concat', ['a', 'a'], 'b'),
        node('ReduceSum', ['b'], 'c'),
        node('Add', ['a', 'c'], 'y'),
      ],
      'y',
    );
    // At Concat: w, x, a and b of 8000; ReduceSum adds 4 bytes.
    expect(memoryNeed(model.graph, shapes).peak).toBe(2000 + 4000 + 4000 + 8000 + 4);
  });
});

describe('requireMemory', () => {
  it('names the largest tensor, its dims and its node, and what may be done', () => {
    const { model, shapes } = opened([{ ...node('Concat', ['x', 'x', 'x'], 'y'), name: 'join' }], 'y', [2 ** 20]);
    expect(() => requireMemory(model.graph, shapes, 17 * 2 ** 20)).not.toThrow();
    let error: unknown;
    try {
      requireMemory(model.graph, shapes, 15 * 2 ** 20);
    } catch (thrown) {
      error = thrown;
    }
    expect(isOverLimit(error)).toBe(true);
    expect((error as Error).message).toBe(
      "one run needs 17 MiB of memory at the least, more than 15 MiB; the largest tensor is 'y' of Concat 'join', " +
        'float32 [3145728], 12 MiB; allow more with --max-memory, or make the inputs smaller with --input-shape, or make the images smaller with --image-size, or give a smaller model',
    );
  });

  it.each([
    [60_000, 60_000],
    [2 ** 31, 2 ** 31],
    [2 ** 52, 2 ** 52],
  ])('refuses inputs of %d x %d whatever the machine', (height, width) => {
    const { model, shapes } = opened([node('Relu', ['x'], 'y')], 'y', [1, 300, height, width]);
    expect(() => requireMemory(model.graph, shapes)).toThrow(/^one run needs \S+ MiB of memory at the least/);
  });
});
