import type * as ort from 'onnxruntime-node';
import { LowrankError } from '../../../src/errors.js';
import type { Attribute } from '../../../src/graph/attribute.js';
import type { Value } from '../../../src/graph/value.js';
import { BOOL, dataTypeName, FLOAT, INT32, INT64 } from '../../../src/onnx/data-type.js';
import { Tensor } from '../../../src/onnx/tensor.js';
import { inferShapes } from '../../../src/ops/infer.js';
import { buildModel, exposeAll, feedOf, runModel } from './build.js';

const UINT8 = 2;
const INT8 = 3;

/** What an input of the node under test is: fed, a constant list, a constant of floats, or left out. */
export type Operand =
  | { readonly dims: readonly number[]; readonly dataType?: number }
  | { readonly ints: readonly number[] }
  | { readonly scalar: number }
  | { readonly floats: readonly number[] }
  | { readonly dims: readonly number[]; readonly values: readonly number[]; readonly dataType?: number }
  | undefined;

/** One node to infer and to run. */
export interface Case {
  readonly opset: number;
  readonly opType: string;
  readonly domain?: string | undefined;
  readonly inputs: readonly Operand[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number | undefined;
}

export interface Comparison {
  /** Types by our rules, or the error. */
  readonly inferred: string;
  /** Types of onnxruntime's results, or its error. */
  readonly actual: string;
  readonly isRun: boolean;
  /** Elements that were computed without a run, beside those of the run. */
  readonly folded: readonly { readonly inferred: readonly number[]; readonly actual: readonly number[] }[];
}

/** Infers the types of one node's outputs and runs it. */
export async function compareNode({ opset, opType, domain, inputs, attributes, outputs }: Case): Promise<Comparison> {
  const { model, graph, node } = buildModel(opset, domain === undefined ? {} : { [domain]: 1 });
  const feeds: Record<string, ort.Tensor> = {};
  const values = inputs.map((operand, index): Value | undefined => {
    const name = `in${index}`;
    if (operand === undefined) return undefined;
    if ('ints' in operand) return graph.addInitializer(Tensor.ofInts(name, [operand.ints.length], operand.ints));
    if ('scalar' in operand) return graph.addInitializer(Tensor.ofInts(name, [], [operand.scalar]));
    if ('floats' in operand) {
      return graph.addInitializer(Tensor.ofFloats(name, [operand.floats.length], Float32Array.from(operand.floats)));
    }
    const type = { dataType: operand.dataType ?? FLOAT, dims: operand.dims };
    if ('values' in operand) return graph.addInitializer(tensorOf(name, type.dataType, operand.dims, operand.values));
    feeds[name] = feedOf(type);
    return graph.addInput(name, type);
  });
  const given = attributes ?? {};
  node(opType, values, given, {
    ...(outputs === undefined ? {} : { outputs }),
    ...(domain === undefined ? {} : { domain }),
  });
  const produced = exposeAll(graph);
  let inferred: string;
  let constants: (readonly number[] | undefined)[] = [];
  try {
    const table = inferShapes(model);
    inferred = produced.map((value) => show(table.require(value))).join(' ');
    constants = produced.map((value) => table.constantOf(value));
  } catch (error) {
    if (!(error instanceof LowrankError)) throw error;
    inferred = error.message;
  }
  let actual: string;
  let isRun = false;
  const folded: { inferred: readonly number[]; actual: readonly number[] }[] = [];
  try {
    const results = await runModel(model, feeds);
    actual = produced.map(({ name }) => `${results[name]!.type} [${results[name]!.dims.join(', ')}]`).join(' ');
    isRun = true;
    produced.forEach(({ name }, i) => {
      const constant = constants[i];
      if (constant === undefined) return;
      folded.push({ inferred: constant, actual: Array.from(results[name]!.data as ArrayLike<bigint>, Number) });
    });
  } catch (error) {
    actual = (error as Error).message;
  }
  return { inferred, actual, isRun, folded };
}

function show({ dataType, dims }: { readonly dataType: number; readonly dims: readonly number[] }): string {
  return `${dataTypeName(dataType)} [${dims.join(', ')}]`;
}

function tensorOf(name: string, dataType: number, dims: readonly number[], values: readonly number[]): Tensor {
  if (dataType === FLOAT) return Tensor.ofFloats(name, dims, Float32Array.from(values));
  const arrays: Record<number, ArrayBufferView> = {
    [INT64]: BigInt64Array.from(values, (value) => BigInt(value)),
    [INT32]: Int32Array.from(values),
    [BOOL]: Uint8Array.from(values),
    [UINT8]: Uint8Array.from(values),
    [INT8]: Int8Array.from(values),
  };
  const array = arrays[dataType]!;
  return Tensor.of(name, dataType, dims, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}
