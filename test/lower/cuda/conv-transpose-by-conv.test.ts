import { describe, expect, it } from 'vitest';
import { readModel } from '../../../src/graph/read.js';
import { modelBytes } from '../../../src/graph/write.js';
import { convTransposeByConv } from '../../../src/lower/cuda/conv-transpose-by-conv.js';
import { runPasses } from '../../../src/passes/runner.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { buildModel, type TestAttribute } from '../../support/models.js';
import { randomOf } from '../../support/mutate.js';

interface TransposedCase {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly bias?: number;
  readonly attributes: Readonly<Record<string, TestAttribute>>;
}

const cases: readonly TransposedCase[] = [
  { x: [2, 4, 5, 5], w: [4, 3, 3, 3], attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] } },
  { x: [2, 4, 5, 5], w: [4, 3, 1, 1], attributes: { strides: [2, 2], output_padding: [1, 1] } },
  { x: [2, 4, 5, 5], w: [4, 3, 1, 1], attributes: { strides: [2, 2] } },
  { x: [2, 4, 6, 5], w: [4, 2, 1, 3], attributes: { strides: [1, 2], pads: [0, 1, 0, 1] } },
  { x: [2, 4, 6, 5], w: [4, 2, 3, 1], attributes: { strides: [2, 1], pads: [1, 0, 1, 0] } },
  { x: [2, 6, 4, 4], w: [6, 1, 3, 3], attributes: { strides: [2, 2], pads: [1, 1, 1, 1], group: 6 } },
  {
    x: [2, 6, 4, 4],
    w: [6, 2, 5, 5],
    attributes: { strides: [2, 3], pads: [2, 2, 2, 2], group: 3, output_padding: [0, 2] },
  },
  { x: [1, 2, 4, 5], w: [2, 3, 2, 2], attributes: { strides: [2, 2], pads: [0, 1, 2, 3] } },
  { x: [1, 2, 4, 5], w: [2, 3, 3, 3], attributes: { dilations: [2, 1], strides: [3, 2], pads: [1, 0, 2, 1] } },
  { x: [2, 3, 4, 4], w: [3, 4, 3, 3], bias: 4, attributes: { strides: [2, 2] } },
  { x: [2, 3, 7], w: [3, 4, 4], attributes: { strides: [3], pads: [1, 2] } },
];

/** y before the pass and behind it, with integers, whose sums are exact in any order. */
async function compare({ x, w, bias, attributes }: TransposedCase, seed: number, isOpen: boolean): Promise<void> {
  const model = readModel(
    buildModel({
      inputs: [
        { name: 'x', dims: isOpen ? ['n', ...x.slice(1)] : x },
        { name: 'w', dims: w },
        ...(bias === undefined ? [] : [{ name: 'b', dims: [bias] }]),
      ],
      outputs: [{ name: 'y' }],
      nodes: [
        { op: 'ConvTranspose', inputs: bias === undefined ? ['x', 'w'] : ['x', 'w', 'b'], outputs: ['y'], attributes },
      ],
    }),
  );
  const integer = randomOf(seed);
  const tensor = (dims: readonly number[]) => {
    const size = dims.reduce((product, dim) => product * dim, 1);
    return { type: 'float32' as const, dims, data: Float32Array.from({ length: size }, () => integer(9) - 4) };
  };
  const feeds = { x: tensor(x), w: tensor(w), ...(bias === undefined ? {} : { b: tensor([bias]) }) };
  const driver = await loadDriver();
  const run = async () => {
    const session = await driver.createSession(modelBytes(model));
    try {
      return (await session.run(feeds))['y']!;
    } finally {
      await session.close();
    }
  };
  const expected = await run();
  expect(runPasses(model, [convTransposeByConv]).passes[0]).toMatchObject({ changes: 1, refusals: [] });
  expect(model.graph.nodes.filter((node) => node.is('ConvTranspose'))).toEqual([]);
  const actual = await run();
  expect(actual.dims).toEqual(expected.dims);
  // −0 is 0 here: a sum of zeros has either sign.
  const numbers = ({ data }: { readonly data: unknown }) => Array.from(data as Float32Array, (value) => value + 0);
  expect(numbers(actual)).toEqual(numbers(expected));
}

describe('conv-transpose-by-conv', () => {
  for (const [i, transposed] of cases.entries()) {
    for (const isOpen of [false, true]) {
      const text = `${transposed.w.join('×')} ${JSON.stringify(transposed.attributes)}`;
      it(`the same sums: ${text}${isOpen ? ', batch open' : ''}`, () => compare(transposed, i + 1, isOpen));
    }
  }

  it('leaves constant weights, and says what it cannot do', () => {
    const pass = (attributes: TransposedCase['attributes'], isConstant: boolean) => {
      const weight = { name: 'w', dims: [2, 2, 2, 2], data: new Float32Array(16) };
      const bytes = buildModel({
        inputs: [{ name: 'x', dims: [1, 2, 4, 4] }, ...(isConstant ? [] : [{ name: 'w', dims: weight.dims }])],
        outputs: [{ name: 'y' }],
        initializers: isConstant ? [weight] : [],
        nodes: [{ op: 'ConvTranspose', inputs: ['x', 'w'], outputs: ['y'], attributes }],
      });
      const [result] = runPasses(readModel(bytes), [convTransposeByConv]).passes;
      return { changes: result!.changes, reasons: result!.refusals.map(({ reason }) => reason) };
    };
    expect(pass({ strides: [2, 2] }, true)).toEqual({ changes: 0, reasons: [] });
    expect(pass({ auto_pad: 'SAME_UPPER' }, false).reasons).toEqual(['its padding is automatic']);
    expect(pass({ output_shape: [8, 8], strides: [2, 2] }, false).reasons).toEqual([
      'its padding follows from output_shape',
    ]);
  });
});
