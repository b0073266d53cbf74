import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { byteLengthOf, FLOAT } from '../onnx/data-type.js';
import type { ShapeTable } from '../ops/infer.js';
import { sizeOf } from '../ops/support/layout.js';

/** What one run of an emitted graph takes. */
export interface StepCost {
  readonly nodes: number;
  readonly casts: number;
  /** Multiply-accumulates, all and those whose result is float16 or bfloat16. */
  readonly macs: number;
  readonly halfMacs: number;
  /**
   * Read and written by all nodes together, each by itself: what a device moves that keeps nothing between two nodes. Views
   * (Reshape and its kind) move nothing.
   */
  readonly bytes: number;
}

const views: ReadonlySet<string> = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity']);

/** Of a graph whose shapes are all known before a run. */
export function stepCost({ graph: { nodes } }: Model, shapes: ShapeTable): StepCost {
  const bytesOf = (value: Value | undefined): number => {
    const type = value === undefined ? undefined : shapes.typeOf(value);
    return type === undefined ? 0 : (byteLengthOf(type.dataType, sizeOf(type.dims)) ?? 0);
  };
  let [macs, halfMacs, bytes] = [0, 0, 0];
  for (const node of nodes) {
    const count = shapes.macsOf(node);
    macs += count;
    if (count > 0 && shapes.require(node.outputs[0]!).dataType !== FLOAT) halfMacs += count;
    if (node.domain === '' && views.has(node.opType)) continue;
    // A value that a node takes twice is read once.
    for (const value of [...new Set(node.inputs), ...node.outputs]) bytes += bytesOf(value);
  }
  return { nodes: nodes.length, casts: nodes.filter((node) => node.is('Cast')).length, macs, halfMacs, bytes };
}
