import { LowrankError } from '../errors.js';
import type { GradientInterface, MaskInput } from '../contracts/artifacts.js';
import { copyForward } from '../autodiff/copy-forward.js';
import type { BuildForward, MaskFactory } from '../autodiff/forward.js';
import { requireGradients } from '../autodiff/require-gradients.js';
import type { Value } from '../graph/value.js';
import { BFLOAT16, FLOAT } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';
import { bfloat16Opset } from '../ops/precision.js';
import { sizeOf } from '../ops/support/layout.js';
import type { BatchStatistics } from '../ops/training.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { mergeViews } from '../passes/merge-views.js';
import { runPasses } from '../passes/runner.js';
import { addImages, type ByteImages, type ImageInputs } from './batch-images.js';
import { addInput, addOutput, emitted, type EmitSettings, type EmittedGraph, startGraph } from './emitted.js';
import { flatten, lengthOf, unflatten } from './flat.js';
import { addTargets } from './goals/add-targets.js';
import type { Trainable } from './goals/goal.js';
import type { LossTarget } from './losses/loss.js';
import type { Statistic } from './prepare-model.js';
import { type GraphSettings, halfTypeOf } from './settings.js';

export interface GradientGraph extends EmittedGraph {
  /** How it takes images; `dims` are of one. */
  readonly images: Pick<ImageInputs, 'type' | 'dims'>;
  /** What it is fed beside images and masks. */
  readonly targets: readonly LossTarget[];
  readonly interface: GradientInterface;
}

/**
 * Emits the gradient graph: parameters [P], statistics [S], images, labels int64 [N] and masks → loss (float32 scalar),
 * logits [N, K], correct (int64 scalar), gradient [P] of the loss alone, statistics′ [S].
 * Running statistics move as in PyTorch: the variance takes n/(n − 1). Throws UNSUPPORTED where the model cannot be
 * differentiated.
 * With `precision` float16 or bfloat16, operators that gain from it compute in that type (`precisionOf`): parameters are
 * cast once, all inputs and outputs stay float32. With float16 the loss is multiplied by the input `scale` on the way back
 * and the gradient divided by it again, so that small gradients do not become zeros (Micikevicius et al., arXiv
 * 1710.03740); one that overflows gives a gradient that is not finite.
 */
export function buildGradientGraph(
  prepared: Trainable,
  settings: Pick<GraphSettings, 'labelSmoothing'> & Partial<Pick<GraphSettings, 'precision'>>,
  { batch, isBatchOpen, passes = [] }: EmitSettings,
  build: BuildForward = copyForward,
  extraOpsets: ReadonlyMap<string, number> = new Map(),
  bytes?: ByteImages,
): GradientGraph {
  const opsets = new Map([...prepared.model.opsets, ...extraOpsets]);
  const half = halfTypeOf(settings.precision);
  const opset = opsets.get('') ?? 0;
  if (half === BFLOAT16 && opset < bfloat16Opset) {
    throw new LowrankError('INTERNAL', `bfloat16 needs opset ${bfloat16Opset}, and the model is prepared in ${opset}`);
  }
  const { model, e } = startGraph('gradient', opsets, isBatchOpen, half);
  const { parameters, statistics, goal } = prepared;
  const flat = addInput(e, 'parameters', FLOAT, [lengthOf(parameters)]);
  const running = addInput(e, 'statistics', FLOAT, [lengthOf(statistics)]);
  const images = addImages(e, prepared, batch, bytes);
  const targets = addTargets(e, goal.targets, batch);
  const masks: MaskInput[] = [];
  const mask: MaskFactory = (name, shape, ratio) => {
    if (ratio === 0) return undefined;
    const input = addInput(e, `mask.${name}`, FLOAT, [batch, ...shape], true);
    masks.push({ name: input.name, shape, ratio });
    return half === undefined ? input : e.cast(input, half);
  };
  const scale = settings.precision === 'float16' ? addInput(e, 'scale', FLOAT, []) : undefined;

  const weights = unflatten(e, flat, parameters);
  const moments = unflatten(e, running, statistics);
  const bindings = new Map<Value, Value>([[prepared.images, images.value]]);
  parameters.forEach(({ value }, i) => bindings.set(value, weights[i]!));
  statistics.forEach(({ value }, i) => bindings.set(value, moments[i]!));
  const source = {
    graph: prepared.model.graph,
    opsets: prepared.model.opsets,
    shapes: prepared.shapesFor(batch),
    outputs: goal.outputs,
    points: goal.points,
    masks: mask,
  };
  requireGradients(
    source,
    parameters.map(({ value }) => value),
  );
  const forward = build(e, source, bindings);
  requireVariance(forward.statistics, batch);
  const { loss, correct, main, ...emittedGoal } = goal.emit({
    ...{ e, targets, outputs: forward.outputs, points: forward.points },
    smoothing: settings.labelSmoothing,
    run: (other, wanted) => {
      const { graph, opsets: own } = other.model;
      const shapes = other.shapesFor(batch);
      return build(e, { graph, opsets: own, shapes, ...wanted }, new Map([[other.images, images.value]]));
    },
  });
  const begin = emittedGoal.gradients();
  const seeds = new Map<Value, Value>();
  const addSeeds = (values: readonly Value[], given: readonly (Value | undefined)[]): void =>
    values.forEach((value, i) => {
      const gradient = given[i];
      if (gradient === undefined) return;
      const start = scale === undefined ? gradient : e.mul(gradient, scale);
      const seed = e.reshapeLike(start, value);
      const before = seeds.get(value);
      seeds.set(value, before === undefined ? seed : e.add(before, seed));
    });
  addSeeds(forward.outputs, begin.outputs);
  addSeeds(forward.points, begin.points);
  const gradients = forward.backward(seeds, weights);
  const parts = weights.map((weight) => gradients.get(weight) ?? e.floats(new Float32Array(sizeOf(e.dims(weight)))));
  const flatGradient =
    scale === undefined
      ? flatten(e, parts, 'gradient')
      : e.emit('Div', [flatten(e, parts, 'gradient.scaled'), scale], {}, { name: 'gradient' });
  const moved = moveStatistics(e, running, statistics, forward.statistics);

  const logits = outputOf(e, main);
  for (const value of [loss, logits, correct, flatGradient, moved]) addOutput(e, value, value === logits);
  if (!isBatchOpen) runPasses(model, [...passes, mergeViews, eliminateDeadNodes]);
  else if (passes.length > 0) runPasses(model, [...passes, eliminateDeadNodes]);
  return {
    ...emitted(model),
    images: { type: images.type, dims: images.dims },
    targets: goal.targets,
    interface: {
      inputs: {
        parameters: flat.name,
        statistics: running.name,
        images: images.images,
        ...(targets['labels'] === undefined ? {} : { labels: targets['labels'].name }),
        masks,
        ...(images.flips === undefined ? {} : { flips: images.flips }),
        ...(scale === undefined ? {} : { scale: scale.name }),
      },
      outputs: {
        loss: loss.name,
        logits: logits.name,
        correct: correct.name,
        gradient: flatGradient.name,
        statistics: moved.name,
      },
    },
  };
}

/** A value that may be an output of the graph in float32. */
function outputOf(e: Emitter, main: Value): Value {
  return main.name === 'logits' ? main : e.emit('Identity', [e.wide(main)], {}, { name: 'output' });
}

/** Throws USAGE where a normalization layer sees one number per channel, whose variance is none and whose share n/(n − 1) infinite. */
function requireVariance(statistics: readonly BatchStatistics[], batch: number): void {
  const alone = statistics.find(({ count }) => count.tensor?.toFloat32()[0] === 1);
  if (alone === undefined) return;
  const { runningMean } = alone;
  throw new LowrankError(
    'USAGE',
    `a batch of ${batch} gives BatchNormalization one number per channel, which has no variance`,
    {
      place: (runningMean.uses[0]?.node ?? { label: `'${runningMean.name}'` }).label,
      remedy: 'train with a --batch-size, or a --micro-batch, of 2 or more',
    },
  );
}

/**
 * running′ = m running + (1 − m) batch, with the variance times n/(n − 1). The old statistics are read from the whole
 * vector: onnxruntime lets a normalization node write over the parts that it was given. A layer that is run twice moves
 * its statistics twice, in order.
 */
function moveStatistics(
  e: Emitter,
  running: Value,
  slots: readonly Statistic[],
  batches: readonly BatchStatistics[],
): Value {
  const together = e.isBatchOpen ? undefined : seenTogether(e, slots, batches);
  if (together !== undefined) {
    const kept = e.mul(running, e.floats(together.momenta));
    const name = { name: 'statistics_out' };
    return e.emit('Add', [kept, e.mul(together.seen, e.floats(together.weights))], {}, name);
  }
  const moved = new Map<Value, Value>();
  const oldOf = (value: Value): Value => {
    const { offset, size } = slots.find((slot) => slot.value === value)!;
    return moved.get(value) ?? e.slice(running, [offset], [offset + size], [0]);
  };
  for (const { runningMean, runningVariance, mean, variance, count, momentum } of batches) {
    const unbiased = e.mul(variance, e.div(count, e.sub(count, e.scalar(1))));
    const step = (target: Value, seen: Value): void => {
      const shaped = e.reshape(seen, [-1]);
      moved.set(target, e.add(e.scale(oldOf(target), momentum), e.scale(shaped, 1 - momentum)));
    };
    step(runningMean, mean);
    step(runningVariance, unbiased);
  }
  if (slots.length === 0 || batches.length === 0) return e.emit('Identity', [running], {}, { name: 'statistics_out' });
  return flatten(
    e,
    slots.map(({ value }) => oldOf(value)),
    'statistics_out',
  );
}

/** All that the batch had, one slot behind the other, with the weights of old and new. */
interface SeenTogether {
  readonly seen: Value;
  readonly momenta: Float32Array;
  readonly weights: Float32Array;
}

/** For a fixed batch in which each layer is run once; undefined otherwise. */
function seenTogether(
  e: Emitter,
  slots: readonly Statistic[],
  batches: readonly BatchStatistics[],
): SeenTogether | undefined {
  const seen = new Map<Value, { readonly value: Value; readonly momentum: number; readonly factor: number }>();
  for (const { runningMean, runningVariance, mean, variance, count, momentum } of batches) {
    const [n] = count.tensor?.toFloat32() ?? [];
    if (n === undefined || seen.has(runningMean) || seen.has(runningVariance)) return undefined;
    seen.set(runningMean, { value: mean, momentum, factor: 1 });
    seen.set(runningVariance, { value: variance, momentum, factor: n / (n - 1) });
  }
  if (slots.length === 0 || !slots.every(({ value }) => seen.has(value))) return undefined;
  const [momenta, weights] = [new Float32Array(lengthOf(slots)), new Float32Array(lengthOf(slots))];
  for (const { value, offset, size } of slots) {
    const { momentum, factor } = seen.get(value)!;
    momenta.fill(momentum, offset, offset + size);
    weights.fill((1 - momentum) * factor, offset, offset + size);
  }
  const values = slots.map(({ value }) => seen.get(value)!.value);
  return { seen: flatten(e, values, 'statistics.batch'), momenta, weights };
}
