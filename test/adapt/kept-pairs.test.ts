import { describe, expect, it } from 'vitest';
import type { StartSettings } from '../../src/adapt/choose-layers.js';
import { adaptedLayers } from '../../src/adapt/layers.js';
import { startPairs } from '../../src/adapt/start.js';
import { readModel } from '../../src/graph/read.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import { inferShapes } from '../../src/ops/infer.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel, type TestInitializer } from '../support/models.js';

const linalg = await createLinalg({ driver: await loadDriver(), threads: 1 });

const weight = (name: string, ...dims: readonly number[]): TestInitializer => ({
  ...{ name, dims },
  data: randomFloats(
    dims.reduce((product, dim) => product * dim, 1),
    3,
    name,
  ),
});

describe('a model that has pairs', () => {
  it('keeps the rank of pairs between whose factors nothing can stand, and says so once for each', async () => {
    const model = readModel(
      buildModel({
        inputs: [{ name: 'x', dims: [1, 8, 6, 6] }],
        outputs: [{ name: 'y' }],
        initializers: [
          ...[weight('g1', 4, 4, 1, 3), weight('g2', 8, 2, 3, 1)],
          ...[weight('c1', 2, 8, 1, 3), weight('c2', 8, 2, 3, 1), weight('w', 8, 8, 3, 3)],
        ],
        nodes: [
          { op: 'Conv', name: 'g1', inputs: ['x', 'g1'], outputs: ['a'], attributes: { group: 2 } },
          { op: 'Conv', name: 'g2', inputs: ['a', 'g2'], outputs: ['b'], attributes: { group: 2 } },
          { op: 'Relu', inputs: ['b'], outputs: ['r'] },
          { op: 'Conv', name: 'c1', inputs: ['r', 'c1'], outputs: ['c'], attributes: { pads: [0, 1, 0, 1] } },
          { op: 'Conv', name: 'c2', inputs: ['c', 'c2'], outputs: ['d'], attributes: { pads: [1, 0, 1, 0] } },
          { op: 'Conv', name: 'w', inputs: ['d', 'w'], outputs: ['y'] },
        ],
      }),
    );
    const settings: StartSettings = {
      ...{ include: [], exclude: [], keepFirst: true, keepLast: true },
      ...{ scheme: 'spatial' as const, startRank: null, freeze: [] },
    };
    const kept = await startPairs(model, inferShapes(model), settings, linalg, undefined);
    expect(kept.map(({ label, reason }) => [label, reason])).toEqual([
      ['g1 + g2', 'a convolution of groups, transposed, or not of two axes'],
      ['w', 'in one piece, in a model that has pairs'],
    ]);
    const chain = readModel(
      buildModel({
        inputs: [{ name: 'x', dims: [1, 8, 6, 6] }],
        outputs: [{ name: 'b' }],
        initializers: [weight('g1', 4, 4, 1, 3), weight('g2', 8, 2, 3, 1)],
        nodes: [
          { op: 'Conv', name: 'g1', inputs: ['x', 'g1'], outputs: ['a'], attributes: { group: 2 } },
          { op: 'Conv', name: 'g2', inputs: ['a', 'g2'], outputs: ['b'], attributes: { group: 2 } },
        ],
      }),
    );
    expect(() => adaptedLayers(chain, inferShapes(chain))).toThrow(
      /ranks of its low-rank layers cannot be found: a convolution of groups.*; layer 'g1 \+ g2'; give the original/,
    );
  });
});
