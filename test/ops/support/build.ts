import * as ort from 'onnxruntime-node';
import type { Attribute } from '../../../src/graph/attribute.js';
import { Graph } from '../../../src/graph/graph.js';
import type { Model } from '../../../src/graph/model.js';
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
