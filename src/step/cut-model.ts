import { copyNodes } from '../autodiff/copy-forward.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { addInput, addOutput, startGraph } from './emitted.js';
import { type OpenedModel, probeBatch } from './prepare-model.js';

/** A part of a model as a model of its own, with an open batch; stored tensors keep their names. */
export interface CutModel {
  readonly model: Model;
  readonly images: Value;
  /** Of one image. */
  readonly imageDims: readonly number[];
  /** In the order in which they were asked for. */
  readonly outputs: readonly Value[];
  shapesFor(batch: number): ShapeTable;
}

/** What lies between `from`, float32 with the batch in front, and `to`: computed as the model infers. */
export function cutModel(
  { model: whole, shapesFor }: Pick<OpenedModel, 'model' | 'shapesFor'>,
  from: Value,
  to: readonly Value[],
): CutModel {
  const { dims } = shapesFor(probeBatch).require(from);
  const { model, e } = startGraph('part', whole.opsets, true);
  const images = addInput(e, from.name, FLOAT, dims, true);
  const outputs = copyNodes(e, { graph: whole.graph, outputs: to }, new Map([[from, images]]));
  for (const output of new Set(outputs)) addOutput(e, output, true);
  const imageDims = dims.slice(1);
  return {
    ...{ model, images, imageDims, outputs },
    shapesFor: (batch) => inferShapes(model, { inputShapes: { [images.name]: [batch, ...imageDims] } }),
  };
}
