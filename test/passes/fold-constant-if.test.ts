import { describe, expect, it } from 'vitest';
import { loadDriver } from '../../src/runtime/driver.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { failureOf } from '../support/errors.js';
import {
  field,
  flat,
  graphProto,
  modelProto,
  nodeProto,
  numberField,
  rawData,
  tensorProto,
  valueInfoProto,
} from '../support/build.js';
import { expectRightGradients, lossOf, normal } from '../train/support/loss-of.js';

const driver = await loadDriver();

const floats = (name: string, dims: readonly number[]): Buffer =>
  tensorProto(
    name,
    dims,
    1,
    rawData(
      new Uint8Array(
        normal(
          name,
          dims.reduce((a, b) => a * b, 1),
          0.4,
        ).buffer,
      ),
    ),
  );
const ints = (name: string, values: readonly number[], dims = [values.length]): Buffer =>
  tensorProto(name, dims, 7, rawData(new Uint8Array(BigInt64Array.from(values, BigInt).buffer)));
const body = (name: string, graph: Buffer): Buffer => flat(field(1, name), field(6, graph), numberField(20, 5));

/** `r` is squeezed where dimension `axis` of it is 1, and copied elsewhere: how PyTorch writes `squeeze`. */
function withIf(axis: number): Buffer {
  const branch = (node: Buffer, initializers: readonly Buffer[] = []): Buffer =>
    graphProto({ nodes: [node], initializers, outputs: [valueInfoProto('s', [])] });
  return modelProto(
    graphProto({
      nodes: [
        nodeProto({ op: 'Conv', inputs: ['x', 'w'], outputs: ['c'] }),
        nodeProto({ op: 'GlobalAveragePool', inputs: ['c'], outputs: ['r'] }),
        nodeProto({ op: 'Shape', inputs: ['r'], outputs: ['shape'] }),
        nodeProto({ op: 'Gather', inputs: ['shape', 'axis'], outputs: ['size'] }),
        nodeProto({ op: 'Equal', inputs: ['size', 'one'], outputs: ['is'] }),
        nodeProto({
          op: 'If',
          name: 'if',
          inputs: ['is'],
          outputs: ['q'],
          attributes: [
            body(
              'then_branch',
              branch(nodeProto({ op: 'Squeeze', inputs: ['r', 'axes'], outputs: ['s'] }), [ints('axes', [axis])]),
            ),
            body('else_branch', branch(nodeProto({ op: 'Identity', inputs: ['r'], outputs: ['s'] }))),
          ],
        }),
        nodeProto({ op: 'Flatten', inputs: ['q'], outputs: ['f'] }),
        nodeProto({ op: 'Gemm', inputs: ['f', 'v'], outputs: ['y'] }),
      ],
      initializers: [floats('w', [6, 3, 1, 1]), floats('v', [6, 4]), ints('axis', [axis], []), ints('one', [1], [])],
      inputs: [valueInfoProto('x', ['n', 3, 5, 5])],
      outputs: [valueInfoProto('y', ['n', 4])],
    }),
  );
}

describe('an If', () => {
  it.each([
    [2, 'Squeeze'],
    [1, 'Identity'],
  ])('whose condition on axis %i is the same for every batch gives way to its branch (%s)', async (axis, opType) => {
    const prepared = prepareTraining(withIf(axis), { settings: defaultGraphSettings });
    const operators = prepared.model.graph.nodes.map((node) => node.opType);
    expect(operators).toContain(opType);
    expect(operators).not.toContain('If');
    await expectRightGradients(driver, prepared);
  });

  it('that asks for the batch stays, and cannot be trained through', async () => {
    const prepared = prepareTraining(withIf(0), { settings: defaultGraphSettings });
    expect((await failureOf('UNSUPPORTED', () => lossOf(driver, prepared))).message).toMatch(/If 'if'/);
  });
});
