import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../src/graph/write.js';
import { readModel } from '../../src/graph/read.js';
import { copiesToInitializers } from '../../src/passes/copies-to-initializers.js';
import { runPasses } from '../../src/passes/runner.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { trainedModel } from '../../src/step/export.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { initialState } from '../../src/step/vectors.js';
import { temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';

const folder = temporaryFolder();

/** BatchNormalization as a constructor leaves it, its equal tensors written once: what TorchScript exports. */
const bytes = buildModel({
  inputs: [{ name: 'x', dims: ['n', 2, 4, 4] }],
  outputs: [{ name: 'y', dims: ['n', 2] }],
  initializers: [
    { name: 'ones', dims: [2], data: Float32Array.of(1, 1) },
    { name: 'zeros', dims: [2], data: Float32Array.of(0, 0) },
  ],
  nodes: [
    { op: 'Identity', inputs: ['ones'], outputs: ['variance'] },
    { op: 'Identity', inputs: ['zeros'], outputs: ['middle'] },
    { op: 'Identity', inputs: ['middle'], outputs: ['mean'] },
    { op: 'BatchNormalization', inputs: ['x', 'ones', 'zeros', 'mean', 'variance'], outputs: ['b'] },
    { op: 'GlobalAveragePool', inputs: ['b'], outputs: ['p'] },
    { op: 'Flatten', inputs: ['p'], outputs: ['y'] },
  ],
});

describe('copies of one initializer', () => {
  it('become initializers of their own, through several Identities', () => {
    const model = readModel(bytes);
    const { passes } = runPasses(model, [copiesToInitializers]);
    expect(passes[0]!.changes).toBe(3);
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual([
      'BatchNormalization',
      'GlobalAveragePool',
      'Flatten',
    ]);
    expect([...model.graph.value('mean')!.tensor!.toFloat32()]).toEqual([0, 0]);
    expect([...model.graph.value('variance')!.tensor!.toFloat32()]).toEqual([1, 1]);
  });

  it('an output of the model keeps its Identity', () => {
    const model = readModel(
      buildModel({
        inputs: [{ name: 'x', dims: [1] }],
        outputs: [{ name: 'y' }, { name: 'z' }],
        initializers: [{ name: 'w', dims: [1], data: Float32Array.of(5) }],
        nodes: [
          { op: 'Identity', inputs: ['w'], outputs: ['y'] },
          { op: 'Add', inputs: ['x', 'w'], outputs: ['z'] },
        ],
      }),
    );
    expect(runPasses(model, [copiesToInitializers]).passes[0]!.changes).toBe(0);
  });

  it('are trained apart, and written apart', async () => {
    const prepared = prepareTraining(bytes, { settings: defaultGraphSettings });
    const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);
    expect(names(prepared.parameters)).toEqual(['ones', 'zeros']);
    expect(names(prepared.statistics)).toEqual(['mean', 'variance']);
    const state = initialState(prepared, 0, false);
    const trained = trainedModel(bytes, {
      parameters: Float32Array.of(2, 3, 0.5, -1),
      statistics: Float32Array.of(1, 2, 4, 16),
      parameterSlots: prepared.parameters,
      statisticSlots: prepared.statistics,
    });
    expect(state.parameters).toEqual(Float32Array.of(1, 1, 0, 0));
    const path = join(folder, 'trained.onnx');
    writeFileSync(path, modelBytes(trained));
    const session = await (await loadDriver()).createSession(path);
    const data = Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? 7 : -5));
    const { y } = await session.run({ x: { type: 'float32', dims: [1, 2, 4, 4], data } });
    await session.close();
    // weight · (x − mean) / √(variance + 1e-5) + bias
    const expected = [(2 * (7 - 1)) / Math.sqrt(4 + 1e-5) + 0.5, (3 * (-5 - 2)) / Math.sqrt(16 + 1e-5) - 1];
    expected.forEach((value, i) => expect((y!.data as Float32Array)[i]).toBeCloseTo(value, 5));
  });
});
