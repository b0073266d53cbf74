import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import type { Emitter } from '../../src/ops/emitter.js';
import type { Value } from '../../src/graph/value.js';
import type { Convolution } from '../../src/ops/support/convolution.js';
import { depthwiseWeightByConvolution, depthwiseWeightByProducts } from '../../src/ops/support/depthwise-gradient.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { addInput, addOutput, startGraph } from '../../src/step/emitted.js';

interface Shape {
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly begins: readonly [number, number];
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
}

const [batch, channels] = [3, 5];

const shapes: readonly Shape[] = [
  { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], begins: [1, 1], input: [9, 8], output: [9, 8] },
  { kernel: [3, 3], strides: [2, 2], dilations: [1, 1], begins: [1, 1], input: [9, 8], output: [5, 4] },
  { kernel: [5, 3], strides: [1, 2], dilations: [2, 1], begins: [4, 0], input: [10, 11], output: [10, 5] },
  { kernel: [1, 7], strides: [3, 1], dilations: [1, 1], begins: [0, 3], input: [7, 9], output: [3, 9] },
  // Zeros after x only, and rows and columns that no window reaches.
  { kernel: [2, 2], strides: [2, 3], dilations: [1, 1], begins: [0, 0], input: [6, 10], output: [3, 3] },
  { kernel: [4, 4], strides: [1, 1], dilations: [1, 1], begins: [0, 1], input: [6, 6], output: [5, 4] },
  // Cut where padding would begin.
  { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], begins: [-1, -2], input: [9, 9], output: [6, 5] },
];

type Form = (e: Emitter, convolution: Convolution, x: Value, dy: Value) => Value;

async function gradientBy(form: Form, shape: Shape, isBatchOpen: boolean): Promise<Float32Array> {
  const convolution: Convolution = { group: channels, channels, filters: channels, ...shape };
  const { model, e } = startGraph('gradient', new Map([['', 17]]), isBatchOpen);
  const xDims = [batch, channels, ...shape.input];
  const dyDims = [batch, channels, ...shape.output];
  const x = addInput(e, 'x', FLOAT, xDims, true);
  const dy = addInput(e, 'dy', FLOAT, dyDims, true);
  addOutput(e, e.emit('Identity', [form(e, convolution, x, dy)], {}, { name: 'dw' }));
  const tensor = (name: string, dims: readonly number[]) => {
    const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    fillTruncatedNormal(randomStream(1, name), data, 0, 1);
    return { type: 'float32', dims, data } as const;
  };
  const session = await (await loadDriver()).createSession(modelBytes(model));
  const { dw } = await session.run({ x: tensor('x', xDims), dy: tensor('dy', dyDims) });
  await session.close();
  expect(dw!.dims).toEqual([channels, 1, ...shape.kernel]);
  return dw!.data as Float32Array;
}

/** By its definition, in float64. */
function byDefinition({ kernel, strides, dilations, begins, input, output }: Shape): Float64Array {
  const random = (name: string, size: number): Float32Array => {
    const data = new Float32Array(size);
    fillTruncatedNormal(randomStream(1, name), data, 0, 1);
    return data;
  };
  const x = random('x', batch * channels * input[0] * input[1]);
  const dy = random('dy', batch * channels * output[0] * output[1]);
  const dw = new Float64Array(channels * kernel[0] * kernel[1]);
  for (let at = 0; at < dw.length; at++) {
    const j = at % kernel[1];
    const i = Math.floor(at / kernel[1]) % kernel[0];
    const c = Math.floor(at / kernel[1] / kernel[0]);
    for (let n = 0; n < batch; n++) {
      for (let h = 0; h < output[0]; h++) {
        for (let v = 0; v < output[1]; v++) {
          const row = h * strides[0] + i * dilations[0] - begins[0];
          const column = v * strides[1] + j * dilations[1] - begins[1];
          if (row < 0 || row >= input[0] || column < 0 || column >= input[1]) continue;
          const image = n * channels + c;
          const seen = x[(image * input[0] + row) * input[1] + column]!;
          dw[at]! += seen * dy[(image * output[0] + h) * output[1] + v]!;
        }
      }
    }
  }
  return dw;
}

describe('the weight gradient of a depthwise convolution', () => {
  const forms = { 'by one convolution': depthwiseWeightByConvolution, 'by products': depthwiseWeightByProducts };
  for (const [name, form] of Object.entries(forms)) {
    for (const isBatchOpen of [false, true]) {
      it.each(shapes)(
        `${name}${isBatchOpen ? ', batch open' : ''}: $kernel $strides $dilations $begins`,
        async (shape) => {
          const expected = byDefinition(shape);
          const actual = await gradientBy(form, shape, isBatchOpen);
          // At most 300 products of size 1, each rounded to 2⁻²⁴ of the sum so far.
          expected.forEach((value, i) => {
            expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-4);
          });
        },
      );
    }
  }
});
