import type { ModelFile } from '../onnx/model-file.js';
import type { Message } from '../onnx/proto.js';
import type { Graph } from './graph.js';

/** An ONNX model: a graph and what stands around it. */
export interface Model {
  readonly graph: Graph;
  /** Operator set versions by domain; "" is ai.onnx. */
  readonly opsets: Map<string, number>;
  irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly metadata: Map<string, string>;
  /** Model-local functions ("domain:name"), which pass through unchanged. */
  readonly functions: readonly string[];
  /** The file it was read from; undefined for models made here. Closing it ends access to weights not yet read. */
  readonly file: ModelFile | undefined;
}

/** A model around a graph that was made here, with nothing else in it. `producer` is what the file says made it. */
export function newModel(
  graph: Graph,
  opsets: ReadonlyMap<string, number>,
  irVersion: number,
  producer: { readonly name: string; readonly version: string } = { name: '', version: '' },
): Model {
  return {
    graph,
    opsets: new Map(opsets),
    irVersion,
    producerName: producer.name,
    producerVersion: producer.version,
    metadata: new Map(),
    functions: [],
    file: undefined,
  };
}

/** The ai.onnx opset. */
export function opsetOf(model: Model): number {
  return model.opsets.get('') ?? 1;
}

/** `opset_import` of a decoded ModelProto; "ai.onnx" is "". */
export function opsetsOf(head: Message): Map<string, number> {
  return new Map(
    (head['opset_import'] as Message[]).map((entry) => {
      const domain = String(entry['domain'] ?? '');
      return [domain === 'ai.onnx' ? '' : domain, Number(entry['version'] ?? 0)];
    }),
  );
}

/** `metadata_props` of a decoded ModelProto. */
export function metadataOf(head: Message): Map<string, string> {
  const entries = head['metadata_props'] as Message[];
  return new Map(entries.map((entry) => [String(entry['key'] ?? ''), String(entry['value'] ?? '')]));
}
