import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { requireMemory } from '../ops/memory.js';
import type { ShapeTable } from '../ops/infer.js';
import { changeGraph, runPasses } from '../passes/runner.js';
import { freezeNormalization } from '../passes/freeze-normalization.js';
import { endOfModel } from '../passes/classifier-end.js';
import { setDropPath } from './drop-path.js';
import { setDropout } from './dropout.js';
import type { Trainable } from './goals/goal.js';
import { labelGoal } from './goals/labels.js';
import type { LossName } from '../contracts/train-settings.js';
import {
  findTrained,
  openForTraining,
  type Parameter,
  type PrepareTrainingOptions,
  probeBatch,
  trainingOpset,
} from './prepare-model.js';

export { type Parameter, type PrepareTrainingOptions, trainingOpset };

/** A classifier made ready for training on labels: it ends in logits. */
export interface Prepared extends Trainable {
  /** [N, classes], maybe with axes of 1 between or behind; before any Softmax or Sigmoid (`classifierEnd`). */
  readonly logits: Value;
  /** What is minimized: cross-entropy, or, of classes one by one (a Sigmoid), the mean of their binary cross-entropies. */
  readonly loss: LossName;
  readonly classes: number;
}

/**
 * Reads a model and makes it ready for training: raises the opset, opens the batch, finds the logits in front of a final Softmax or Sigmoid and finds
 * the parameters. The file stays open until `model.file.close()`.
 * Throws what `readModel` throws, UNSUPPORTED where the model is no classifier of images with float32 weights, RUNTIME where one
 * image needs more memory than it may.
 */
export function prepareTraining(path: string | Uint8Array, options: PrepareTrainingOptions): Prepared {
  const model = readModel(path);
  try {
    return prepared(model, options);
  } catch (error) {
    model.file?.close();
    throw error;
  }
}

function prepared(model: Model, options: PrepareTrainingOptions): Prepared {
  const { settings } = options;
  const opened = openForTraining(model, options);
  const { shapesFor, ownBatch } = opened;
  const { graph } = model;
  const end = endOfModel(model, opened.shapes());
  const { logits } = end;
  const { dropout, dropPath } = settings;
  if (dropout !== null) changeGraph(model, 'dropout', () => setDropout(graph, logits, dropout));
  if (dropPath > 0) changeGraph(model, 'drop-path', () => setDropPath(model, logits, dropPath));
  requireMemory(graph, shapesFor(1), options.limits?.memory);
  const classes = classesOf(logits, graph.outputs[0]!, opened.shapes(), ownBatch ?? probeBatch);
  const loss: LossName = end.kind === 'sigmoid' ? 'binary-cross-entropy' : 'cross-entropy';
  const trained = findTrained(opened, [logits], settings, end.warnings);
  if (ownBatch !== undefined) runPasses(model, [freezeNormalization], { shapes: shapesFor(ownBatch).options });
  return { ...trained, logits, loss, classes, goal: labelGoal(logits, loss, classes) };
}

/** How many classes a value [batch, 1 …, classes, 1 …] tells apart. */
function classesOf(logits: Value, output: Value, shapes: ShapeTable, expected: number): number {
  const [batch, ...rest] = shapes.require(logits).dims;
  const classes = rest.filter((dim) => dim > 1);
  const outputBatch = shapes.typeOf(output)?.dims[0] ?? expected;
  if (batch === expected && outputBatch === expected && classes.length === 1 && rest.every((dim) => dim > 0)) {
    return classes[0]!;
  }
  throw new LowrankError(
    'UNSUPPORTED',
    `the output is [${shapes.require(output).dims.join(', ')}] for a batch of ${expected}`,
    { place: `output '${output.name}'`, remedy: 'training needs a classifier whose output is [batch, classes]' },
  );
}
