import { describe, expect, it } from 'vitest';
import { int } from '../../src/graph/attributes.js';
import { Graph } from '../../src/graph/graph.js';
import type { Value } from '../../src/graph/value.js';
import { BFLOAT16, FLOAT, FLOAT16 } from '../../src/onnx/data-type.js';
import { isRepresentable } from '../../src/ops/autocast.js';
import { Emitter } from '../../src/ops/emitter.js';
import { bfloat16Operators, type HalfType, listedRules, precisionOf } from '../../src/ops/precision.js';
import { failureOf } from '../support/errors.js';
import { allOperators } from './support/operators.js';

function emitter(half: HalfType = FLOAT16): { readonly e: Emitter; input(...dims: number[]): Value } {
  const graph = new Graph('test');
  const e = new Emitter(graph, { opsets: new Map([['', 22]]), half });
  const input = (...dims: number[]): Value => {
    const type = { dataType: FLOAT, dims };
    return e.declare(graph.addInput(graph.uniqueName('x'), type), type);
  };
  return { e, input };
}

const typesOf = (e: Emitter, value: Value): readonly number[] =>
  value.producer!.inputs.map((x) => e.typeOf(x!).dataType);
const casts = (e: Emitter): number => e.graph.nodes.filter((node) => node.is('Cast')).length;

describe('what operators compute in', () => {
  it('the lists name operators that this project knows, each once', () => {
    const known = new Set(allOperators.map(({ domain, opType }) => (domain === '' ? opType : `${domain}.${opType}`)));
    for (const name of [...listedRules.keys(), ...bfloat16Operators]) expect(known, name).toContain(name);
    expect(precisionOf('', 'Conv', FLOAT16)).toBe('half');
    expect(precisionOf('', 'ConvTranspose', BFLOAT16)).toBe('float32');
    expect(precisionOf('', 'Relu', BFLOAT16)).toBe('widest');
  });

  it('operators that gain get half inputs; a value is cast once', () => {
    const { e, input } = emitter();
    const [x, w] = [input(2, 3, 8, 8), input(4, 3, 3, 3)];
    const y = e.emit('Conv', [x, w]);
    expect(typesOf(e, y)).toEqual([FLOAT16, FLOAT16]);
    expect(e.typeOf(y).dataType).toBe(FLOAT16);
    e.emit('Conv', [x, w], { dilations: { type: 'ints', value: [2, 2] } });
    expect(casts(e)).toBe(2);
  });

  it('sums are float32, other operators of the widest type; constants do not widen where half can hold them', () => {
    const { e, input } = emitter();
    const y = e.emit('MatMul', [input(4, 4), input(4, 4)]);
    expect(e.typeOf(e.reduceSum(y)).dataType).toBe(FLOAT);
    expect(e.typeOf(e.emit('Relu', [y])).dataType).toBe(FLOAT16);
    expect(e.typeOf(e.add(y, y)).dataType).toBe(FLOAT16);
    expect(e.typeOf(e.add(y, input(4, 4))).dataType).toBe(FLOAT);
    const scaled = e.mul(y, e.scalar(0.3));
    expect(typesOf(e, scaled)).toEqual([FLOAT16, FLOAT16]);
    // 1e-9 is nothing in float16, 1e6 is infinite.
    for (const value of [1e-9, 1e6]) expect(e.typeOf(e.mul(y, e.scalar(value))).dataType).toBe(FLOAT);
    expect(e.typeOf(e.count(y)).dataType).toBe(FLOAT);
  });

  it('BatchNormalization computes in float32 and gives back what it was given', () => {
    const { e, input } = emitter();
    const x = e.emit('Conv', [input(2, 3, 8, 8), input(4, 3, 3, 3)]);
    const y = e.emit('BatchNormalization', [x, input(4), input(4), input(4), input(4)]);
    expect(e.typeOf(y).dataType).toBe(FLOAT16);
    const node = e.graph.nodes.find(({ opType }) => opType === 'BatchNormalization')!;
    expect(node.inputs.map((value) => e.typeOf(value!).dataType)).toEqual(Array(5).fill(FLOAT));
    // Half and back again is the value before.
    expect(e.cast(y, FLOAT)).toBe(node.outputs[0]);
  });

  it('in bfloat16, what onnxruntime lacks on CUDA is float32', () => {
    const { e, input } = emitter(BFLOAT16);
    const y = e.emit('MatMul', [input(4, 4), input(4, 4)]);
    expect(e.typeOf(y).dataType).toBe(BFLOAT16);
    expect(e.typeOf(e.emit('Clip', [y, e.scalar(0), e.scalar(6)])).dataType).toBe(FLOAT);
    expect(typesOf(e, e.emit('Greater', [y, e.scalar(0, y)]))).toEqual([FLOAT, FLOAT]);
  });

  it('an operator without a place in training is refused', async () => {
    const { e, input } = emitter();
    const failure = await failureOf('UNSUPPORTED', () => e.emit('Ghost', [input(2)], { axis: int(0) }));
    expect(failure.message).toMatch(/not known how Ghost computes in float16.*float32/);
  });

  it('numbers that half can hold, by its 11 or 8 digits and its range', () => {
    for (const value of [0, 1, 1 / 3, -6, 65504, 2 ** -14, Infinity])
      expect(isRepresentable(value, FLOAT16)).toBe(true);
    for (const value of [65536, 1e-8, 1.3e-6, -1e5]) expect(isRepresentable(value, FLOAT16)).toBe(false);
    for (const value of [1e30, 1e-30, 1 / 3]) expect(isRepresentable(value, BFLOAT16)).toBe(true);
  });
});
