import * as ort from 'onnxruntime-node';
import type { Attribute } from '../../../src/graph/attribute.js';
import { Graph } from '../../../src/graph/graph.js';
import type { Model } from '../../../src/graph/model.js';
import { dataTypeName } from '../../../src/onnx/data-type.js';
import type { TensorType } from '../../../src/ops/operator.js';
import type { Value } from '../../../src/graph/value.js';
import { modelBytes } from '../../../src/graph/write.js';

/** A model under construction: a chain of one-line calls for tests. */
export interface Builder {
  readonly model: Model;
  readonly graph: Graph;
  /** Adds a node and gives its outputs. */
  readonly node: (
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes?: Readonly<Record<string, Attribute>>,
    options?: { readonly outputs?: number; readonly domain?: string; readonly name?: string },
  ) => Value[];
}

export function buildModel(opset: number, domains: Readonly<Record<string, number>> = {}): Builder {
  const graph = new Graph('test');
  const model: Model = {
    graph,
    opsets: new Map([['', opset], ...Object.entries(domains)]),
    // onnxruntime warns of IR versions newer than the opset's; 8 carries every opset that is tried here.
    irVersion: opset >= 20 ? 10 : 8,
    producerName: 'test',
    producerVersion: '',
    metadata: new Map(),
    functions: [],
    file: undefined,
  };
  return {
    model,
    graph,
    node: (opType, inputs, attributes = {}, options = {}) => {
      const outputs = Array.from({ length: options.outputs ?? 1 }, () =>
        graph.addValue(graph.uniqueName(`${opType}_out`)),
      );
      const name = options.name ?? graph.uniqueNodeName(opType);
      graph.addNode({
        opType,
        name,
        inputs,
        outputs,
        attributes,
        ...(options.domain === undefined ? {} : { domain: options.domain }),
      });
      return outputs;
    },
  };
}

export const int = (value: number): Attribute => ({ type: 'int', value });
export const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value });
export const float = (value: number): Attribute => ({ type: 'float', value });
export const string = (value: string): Attribute => ({ type: 'string', value });

/** Runs a model without optimization, as onnxruntime's JavaScript binding does; throws what onnxruntime throws. */
export async function runModel(
  model: Model,
  feeds: Readonly<Record<string, ort.Tensor>>,
): Promise<Readonly<Record<string, ort.Tensor>>> {
  const session = await ort.InferenceSession.create(modelBytes(model), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
  });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Every value that a node produces becomes an output, so that a run shows its type. */
export function exposeAll(graph: Graph): Value[] {
  const produced = graph.nodes.flatMap((node) => node.outputs.filter((value) => value !== undefined));
  for (const value of produced) if (!value.isOutput) graph.addOutput(value);
  return produced;
}

/** A feed of ones, or of zeros where they are indices or flags. */
export function feedOf({ dataType, dims }: TensorType): ort.Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const name = dataTypeName(dataType);
  if (name === 'float32') return new ort.Tensor('float32', new Float32Array(size).fill(1), dims);
  if (name === 'float64') return new ort.Tensor('float64', new Float64Array(size).fill(1), dims);
  if (name === 'float16') return new ort.Tensor('float16', new Uint16Array(size).fill(0x3c00), dims);
  if (name === 'int64') return new ort.Tensor('int64', new BigInt64Array(size), dims);
  if (name === 'int32') return new ort.Tensor('int32', new Int32Array(size), dims);
  if (name === 'uint8') return new ort.Tensor('uint8', new Uint8Array(size), dims);
  if (name === 'int8') return new ort.Tensor('int8', new Int8Array(size), dims);
  if (name === 'bool') return new ort.Tensor('bool', new Uint8Array(size), dims);
  throw new Error(`no feed of type ${name}`);
}
