import type { EvalInterface } from '../contracts/artifacts.js';
import { copyNodes } from '../autodiff/copy-forward.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { runPasses } from '../passes/runner.js';
import { addImages, type ByteImages } from './batch-images.js';
import { addInput, addOutput, emitted, type EmitSettings, type EmittedGraph, startGraph } from './emitted.js';
import { lengthOf, unflatten } from './flat.js';
import { addTargets, losses } from './losses/index.js';
import type { Prepared } from './prepare.js';

export interface EvalGraph extends EmittedGraph {
  readonly interface: EvalInterface;
}

/**
 * Emits the eval graph: parameters, statistics, images, labels → loss (without smoothing), logits, correct; the model as
 * it infers, with running statistics.
 */
export function buildEvalGraph(
  prepared: Prepared,
  { batch, isBatchOpen, passes = [] }: EmitSettings,
  bytes?: Omit<ByteImages, 'hasFlips'>,
): EvalGraph {
  const { model, e } = startGraph('eval', prepared.model.opsets, isBatchOpen);
  const { parameters, statistics } = prepared;
  const flat = addInput(e, 'parameters', FLOAT, [lengthOf(parameters)]);
  const running = addInput(e, 'statistics', FLOAT, [lengthOf(statistics)]);
  const images = addImages(e, prepared, batch, bytes === undefined ? undefined : { ...bytes, hasFlips: false });
  const targets = addTargets(e, prepared.loss, batch, prepared.classes);
  const bindings = new Map<Value, Value>([[prepared.images, images.value]]);
  unflatten(e, flat, parameters).forEach((value, i) => bindings.set(parameters[i]!.value, value));
  unflatten(e, running, statistics).forEach((value, i) => bindings.set(statistics[i]!.value, value));
  const output = copyNodes(e, { graph: prepared.model.graph, output: prepared.logits }, bindings);
  const logits = e.emit('Reshape', [output, e.ints([0, prepared.classes])], {}, { name: 'logits' });
  const { loss, correct } = losses[prepared.loss].emit({ e, tensors: { logits }, targets, smoothing: 0 });
  for (const value of [loss, logits, correct]) addOutput(e, value, value === logits);
  if (passes.length > 0) runPasses(model, [...passes, eliminateDeadNodes]);
  return {
    ...emitted(model),
    interface: {
      inputs: {
        parameters: flat.name,
        statistics: running.name,
        images: images.images,
        labels: targets['labels']!.name,
      },
      outputs: { loss: loss.name, logits: logits.name, correct: correct.name },
    },
  };
}
