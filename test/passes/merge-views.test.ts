import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { eliminateDeadNodes } from '../../src/passes/eliminate-dead-nodes.js';
import { mergeViews } from '../../src/passes/merge-views.js';
import { runPasses } from '../../src/passes/runner.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel, type TestNode } from '../support/models.js';

/** Of 24 elements; zeros and −1 speak of what they are applied to. */
const shapes = [[24], [2, 12], [4, 6], [2, 3, 4], [-1, 8], [3, -1], [2, -1, 2], [1, 24, 1]];

interface Step {
  readonly from: number;
  readonly op: 'Reshape' | 'Neg' | 'Copy';
  readonly shape: number;
}

/** Each step reads an earlier value; the last three are outputs. */
function model(steps: readonly Step[]): Uint8Array {
  const names = ['x'];
  const nodes: TestNode[] = steps.map(({ from, op, shape }, i) => {
    const input = names[from % names.length]!;
    names.push(`v${i}`);
    if (op === 'Neg') return { op, inputs: [input], outputs: [`v${i}`] };
    // Zero copies the dimension at its place, which every value here has.
    const inputs = [input, op === 'Copy' ? 'copy' : `s${shape}`];
    return { op: 'Reshape', inputs, outputs: [`v${i}`] };
  });
  return buildModel({
    inputs: [{ name: 'x', dims: [2, 3, 4] }],
    outputs: names.slice(-3).map((name) => ({ name })),
    initializers: [
      ...shapes.map((dims, i) => ({
        name: `s${i}`,
        type: 'int64' as const,
        dims: [dims.length],
        data: BigInt64Array.from(dims, BigInt),
      })),
      { name: 'copy', type: 'int64' as const, dims: [2], data: BigInt64Array.of(0n, -1n) },
    ],
    nodes,
  });
}

const steps = fc.array(
  fc.record<Step>({
    from: fc.nat(30),
    op: fc.constantFrom('Reshape', 'Reshape', 'Reshape', 'Copy', 'Neg'),
    shape: fc.nat(shapes.length - 1),
  }),
  { minLength: 4, maxLength: 16 },
);

describe('merged views', () => {
  it('compute what the chains did, and no view of a view is left', async () => {
    const driver = await loadDriver();
    const data = Float32Array.from({ length: 24 }, (_, i) => i - 7);
    const run = async (bytes: Uint8Array): Promise<unknown> => {
      const session = await driver.createSession(bytes, { threads: 1, graphOptimization: 'disabled' });
      try {
        return await session.run({ x: { type: 'float32', dims: [2, 3, 4], data } });
      } finally {
        await session.close();
      }
    };
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const bytes = model(list);
        const merged = readModel(bytes);
        runPasses(merged, [mergeViews, eliminateDeadNodes]);
        expect(await run(modelBytes(merged))).toEqual(await run(bytes));
        const views = merged.graph.nodes.filter((node) => node.is('Reshape'));
        for (const node of views) expect(node.inputs[0]!.producer?.is('Reshape') ?? false).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('an open dimension is refused: a shape would be baked in', () => {
    const open = readModel(
      buildModel({
        inputs: [{ name: 'x', dims: ['n', 4] }],
        outputs: [{ name: 'y' }],
        initializers: [{ name: 's', type: 'int64', dims: [1], data: BigInt64Array.of(-1n) }],
        nodes: [{ op: 'Reshape', inputs: ['x', 's'], outputs: ['y'] }],
      }),
    );
    expect(() => runPasses(open, [mergeViews])).toThrow(/merge-views does not apply.*input 'x'/);
  });
});
