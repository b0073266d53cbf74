import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { evbmf } from '../../src/factorize/evbmf.js';
import { readModel } from '../../src/graph/read.js';
import type { LayerReport } from '../../src/contracts/convert.js';
import { jacobiSingularValues } from '../linalg/support/jacobi.js';
import { convertReport, expectFailure, run, temporaryFolder } from '../support/command.js';

const folder = temporaryFolder();
const model = join(folder, 'lenet.onnx');

beforeAll(() => {
  expect(run('create', 'lenet5', '-o', model).code).toBe(0);
});

/** The dense layers in the middle, with all their squared singular values, largest first. */
function denseLayers(...options: readonly string[]): readonly { layer: LayerReport; squares: Float64Array }[] {
  const report = convertReport(model, '-o', join(folder, 'out.onnx'), '--force', ...options);
  const { graph } = readModel(model);
  return report.layers
    .filter(({ op, action }) => op === 'Gemm' && action === 'factorized')
    .map((layer) => {
      const weight = graph.nodes.find(({ name }) => name === layer.name)!.inputs[1]!.tensor!;
      const values = jacobiSingularValues(weight.toFloat32(), weight.dims[0]!, weight.dims[1]!);
      return { layer, squares: Float64Array.from(values, (value) => value * value) };
    });
}

describe('ranks from the spectrum', () => {
  it('--stable-rank: a multiple of ‖W‖²_F / ‖W‖², rounded', () => {
    const found = denseLayers('--stable-rank', '1.5');
    expect(found.length).toBeGreaterThan(0);
    for (const { layer, squares } of found) {
      const stable = squares.reduce((sum, square) => sum + square, 0) / Math.max(...squares);
      expect(layer.rank).toBe(Math.round(1.5 * stable));
      expect(layer.reason).toBe(`1.5 · stable rank ${stable.toFixed(2)}`);
    }
  });

  it('--vbmf: the signal, and at least the floor', () => {
    // Fresh weights are noise: no component of it is signal.
    const found = denseLayers('--vbmf', '--rank-floor', '0.25');
    expect(found.length).toBeGreaterThan(0);
    for (const { layer, squares } of found) {
      const { rank } = evbmf(squares, layer.out, layer.in);
      const floor = Math.round(0.25 * squares.length);
      expect(rank).toBeLessThan(floor);
      expect(layer.rank).toBe(floor);
      expect(layer.reason).toBe(`VBMF rank ${rank}, below the floor of 0.25 · ${squares.length}`);
    }
  });

  it('contradict the other ways to set ranks', () => {
    const none = join(folder, 'none.onnx');
    const words = ['convert', model, '-o', none];
    expectFailure(run(...words, '--vbmf', '--energy', '0.9'), 'USAGE', /--energy and --vbmf contradict/, 2);
    expectFailure(run(...words, '--rank-floor', '0.1'), 'USAGE', /--rank-floor does nothing with --rank-scale/, 2);
    expectFailure(run(...words, '--stable-rank', '-1'), 'USAGE', /--stable-rank -1/, 2);
  });
});
