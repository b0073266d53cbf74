import { expect } from 'vitest';
import type { Model } from '../../../src/graph/model.js';
import { readModel } from '../../../src/graph/read.js';
import type { Value } from '../../../src/graph/value.js';
import { modelBytes } from '../../../src/graph/write.js';
import { BOOL, dataTypeName, DOUBLE, FLOAT, INT64 } from '../../../src/onnx/data-type.js';
import { Tensor } from '../../../src/onnx/tensor.js';
import { inferShapes } from '../../../src/ops/infer.js';
import { raiseOpset } from '../../../src/passes/raise-opset.js';
import { runPasses } from '../../../src/passes/runner.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import type { RuntimeTensor, TensorData } from '../../../src/runtime/types.js';
import { buildModel } from '../../ops/support/build.js';
import type { Case, Operand } from '../../ops/support/compare.js';

const driver = await loadDriver();

export type Feeds = Readonly<Record<string, RuntimeTensor>>;

/** Numbers in [−1, 1) that look random, from a counter. */
function noise(count: number, salt: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const mixed = Math.imul(Math.imul(i + 1, 2654435761) ^ Math.imul(salt + 1, 40503), 2246822519);
    return ((mixed >>> 8) / 2 ** 24) * 2 - 1;
  });
}

/** Noise of an element type; integers are 0 or 1, which are indices of every axis longer than one. */
function feedOf(dataType: number, dims: readonly number[], salt: number): RuntimeTensor {
  const data = noise(
    dims.reduce((product, dim) => product * dim, 1),
    salt,
  );
  const flags = Array.from(data, (value) => (value > 0 ? 1 : 0));
  const tables: Record<number, () => TensorData> = {
    [FLOAT]: () => data,
    [DOUBLE]: () => Float64Array.from(data),
    [INT64]: () => BigInt64Array.from(flags, BigInt),
    [BOOL]: () => Uint8Array.from(flags),
  };
  return { type: dataTypeName(dataType) as RuntimeTensor['type'], dims, data: tables[dataType]!() };
}

/** Noise for every input of a model. */
export function feedsOf(model: Model, salt = 7): Feeds {
  const { types } = inferShapes(model).inputs;
  return Object.fromEntries(
    [...types].map(([value, { dataType, dims }]) => [value.name, feedOf(dataType, dims, salt)]),
  );
}

/** All outputs, without onnxruntime's own rewrites. Throws what onnxruntime throws. */
export async function outputsOf(model: Model | Uint8Array | string, feeds: Feeds): Promise<Feeds> {
  const source = model instanceof Uint8Array || typeof model === 'string' ? model : modelBytes(model);
  const session = await driver.createSession(source, { graphOptimization: 'disabled', threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

/** max|a − b| / max|b| over all outputs; 0 only where all bits are the same. Names, types and dims must be equal. */
export function relativeDifference(a: Feeds, b: Feeds): number {
  expect(Object.keys(a)).toEqual(Object.keys(b));
  let difference = 0;
  let largest = Number.MIN_VALUE;
  for (const [name, expected] of Object.entries(b)) {
    const actual = a[name]!;
    expect([actual.type, ...actual.dims]).toEqual([expected.type, ...expected.dims]);
    expected.data.forEach((value, i) => {
      const [x, y] = [Number(actual.data[i]), Number(value)];
      if (!Object.is(x, y) && x !== y) difference = Math.max(difference, Math.abs(x - y));
      if (!Number.isFinite(y)) expect(x).toBe(y);
      else largest = Math.max(largest, Math.abs(y));
    });
  }
  expect(difference).not.toBeNaN();
  return difference / largest;
}

/** A model of one node; every operand without elements is an input of noise. */
export function modelOf({ opset, opType, inputs, attributes, outputs }: Case): Model {
  const { model, graph, node } = buildModel(opset);
  const values = inputs.map((operand, index): Value | undefined => valueOf(operand, `in${index}`));
  function valueOf(operand: Operand, name: string): Value | undefined {
    if (operand === undefined) return undefined;
    if ('ints' in operand) return graph.addInitializer(Tensor.ofInts(name, [operand.ints.length], operand.ints));
    if ('scalar' in operand) return graph.addInitializer(Tensor.ofInts(name, [], [operand.scalar]));
    if ('floats' in operand) {
      return graph.addInitializer(Tensor.ofFloats(name, [operand.floats.length], Float32Array.from(operand.floats)));
    }
    if ('values' in operand && (operand.dataType ?? FLOAT) === INT64) {
      return graph.addInitializer(Tensor.ofInts(name, operand.dims, operand.values));
    }
    if ('values' in operand) {
      const data = Float32Array.from(operand.values);
      return graph.addInitializer(Tensor.ofFloats(name, operand.dims, data, operand.dataType ?? FLOAT));
    }
    return graph.addInput(name, { dataType: operand.dataType ?? FLOAT, dims: operand.dims });
  }
  for (const value of node(opType, values, attributes ?? {}, outputs === undefined ? {} : { outputs })) {
    graph.addOutput(value);
  }
  return model;
}

export interface Raised {
  /** undefined where onnxruntime does not run the original. */
  readonly difference: number | undefined;
  /** Nodes of the raised model, "Flatten Softmax Shape Reshape". */
  readonly operators: string;
  /** Changes, the import of the opset not counted. */
  readonly changes: number;
}

/** Raises a model and runs both in onnxruntime. */
export async function raiseAndCompare(model: Model, target = 17): Promise<Raised> {
  const feeds = feedsOf(model);
  const before = modelBytes(model);
  const report = runPasses(model, [raiseOpset(target)]);
  const after = readModel(modelBytes(model));
  expect(after.opsets.get('')).toBe(target);
  const shape = {
    operators: after.graph.nodes.map(({ opType }) => opType).join(' '),
    changes: report.passes[0]!.changes - 1,
  };
  let expected: Feeds;
  try {
    expected = await outputsOf(before, feeds);
  } catch {
    return { difference: undefined, ...shape };
  }
  return { difference: relativeDifference(await outputsOf(after, feeds), expected), ...shape };
}
