import type { EvalInterface } from '../contracts/artifacts.js';
import { copyNodes } from '../autodiff/copy-forward.js';
import type { Graph } from '../graph/graph.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { runPasses } from '../passes/runner.js';
import { addImages, type ByteImages } from './batch-images.js';
import { addInput, addOutput, emitted, type EmitSettings, type EmittedGraph, startGraph } from './emitted.js';
import { lengthOf, unflatten } from './flat.js';
import { addTargets } from './goals/add-targets.js';
import type { Computed, Trainable } from './goals/goal.js';

export interface EvalGraph extends EmittedGraph {
  readonly interface: EvalInterface;
}

/**
 * Emits the eval graph: parameters, statistics, images, labels → loss (without smoothing), logits, correct; the model as
 * it infers, with running statistics.
 */
export function buildEvalGraph(
  prepared: Trainable,
  { batch, isBatchOpen, passes = [] }: EmitSettings,
  bytes?: Omit<ByteImages, 'hasFlips'>,
): EvalGraph {
  const { model, e } = startGraph('eval', prepared.model.opsets, isBatchOpen);
  const { parameters, statistics, goal } = prepared;
  const flat = addInput(e, 'parameters', FLOAT, [lengthOf(parameters)]);
  const running = addInput(e, 'statistics', FLOAT, [lengthOf(statistics)]);
  const images = addImages(e, prepared, batch, bytes === undefined ? undefined : { ...bytes, hasFlips: false });
  const targets = addTargets(e, goal.targets, batch);
  const bindings = new Map<Value, Value>([[prepared.images, images.value]]);
  unflatten(e, flat, parameters).forEach((value, i) => bindings.set(parameters[i]!.value, value));
  unflatten(e, running, statistics).forEach((value, i) => bindings.set(statistics[i]!.value, value));
  const computed = (graph: Graph, { outputs, points }: Computed, bound: ReadonlyMap<Value, Value>): Computed => {
    const values = copyNodes(e, { graph, outputs: [...outputs, ...points] }, bound);
    return { outputs: values.slice(0, outputs.length), points: values.slice(outputs.length) };
  };
  const { loss, correct, main } = goal.emit({
    ...{ e, targets, smoothing: 0 },
    ...computed(prepared.model.graph, goal, bindings),
    run: (other, wanted) => computed(other.model.graph, wanted, new Map([[other.images, images.value]])),
  });
  const logits = main.name === 'logits' ? main : e.emit('Identity', [main], {}, { name: 'output' });
  for (const value of [loss, logits, correct]) addOutput(e, value, value === logits);
  if (passes.length > 0) runPasses(model, [...passes, eliminateDeadNodes]);
  return {
    ...emitted(model),
    interface: {
      inputs: {
        parameters: flat.name,
        statistics: running.name,
        images: images.images,
        ...(targets['labels'] === undefined ? {} : { labels: targets['labels'].name }),
      },
      outputs: { loss: loss.name, logits: logits.name, correct: correct.name },
    },
  };
}
