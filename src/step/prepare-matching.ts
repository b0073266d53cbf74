import type { RecoverReport } from '../contracts/recover.js';
import { LowrankError } from '../errors.js';
import { type Model, opsetOf } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { requireMemory } from '../ops/memory.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { type ClassifierEnd, endOfModel, hasClasses } from '../passes/classifier-end.js';
import { foldBatchNormalization } from '../passes/fold-batch-normalization.js';
import { freezeNormalization } from '../passes/freeze-normalization.js';
import { outputEnds } from '../passes/output-ends.js';
import { runPasses } from '../passes/runner.js';
import type { Trainable } from './goals/goal.js';
import { matchGoal, type MatchedClasses, type Matching, type MatchPoint } from './goals/match.js';
import type { LossName } from '../contracts/train-settings.js';
import { featurePoints, layerPoints, type MatchSide, namedPoints, outputPoints } from './match-points.js';
import type { MatchSettings } from './match-settings.js';
import { findTrained, type OpenedModel, openForTraining, type PrepareTrainingOptions } from './prepare-model.js';

/** A model that learns from another, the teacher, both open until their `model.file?.close()`. */
export interface PreparedMatching extends Trainable {
  readonly teacher: OpenedModel;
  readonly matching: Matching;
  /** What both end in, where they are no classifiers. */
  readonly outputs: readonly MatchPoint[];
  /** What the labels are, where the model is a classifier. */
  readonly loss: LossName | undefined;
}

/** As reports say it. */
export function describeMatching({
  matching,
}: PreparedMatching): Pick<RecoverReport['matching'], 'classes' | 'points'> {
  const points = matching.points.map(({ name, weight }) => ({ name, weight }));
  return { classes: matching.classes?.classes ?? null, points };
}

/**
 * Reads a model and its teacher and makes them ready for a training that makes the one compute what the other does. They need
 * not be classifiers, nor have any value in common but their outputs.
 * Throws what `readModel` throws; USAGE where they do not fit each other (image size, layout, outputs, classes), or where nothing is
 * found of what is to be matched; UNSUPPORTED where the model cannot be differentiated, RUNTIME where one image needs more memory
 * than it may.
 */
export function prepareMatching(
  student: string | Uint8Array,
  teacher: string | Uint8Array,
  options: PrepareTrainingOptions & { readonly match: MatchSettings },
): PreparedMatching {
  const opened: Model[] = [];
  const open = (source: string | Uint8Array): Model => {
    const model = readModel(source);
    opened.push(model);
    return model;
  };
  try {
    return prepared(open(student), open(teacher), options);
  } catch (error) {
    for (const model of opened) model.file?.close();
    throw error;
  }
}

function prepared(
  student: Model,
  teacher: Model,
  options: PrepareTrainingOptions & { readonly match: MatchSettings },
): PreparedMatching {
  const { settings, match } = options;
  const opset = Math.max(opsetOf(student), opsetOf(teacher));
  const own = openForTraining(student, { ...options, opset });
  requireSameImages(own, teacher);
  const plain = { ...settings, freeze: [], trainAlso: [], dropout: null, dropPath: 0, frobeniusDecay: 0, decay: null };
  const other = openForTraining(teacher, {
    ...{ settings: plain, imageDims: own.imageDims, opset },
    ...{ limits: options.limits, inputs: options.inputs },
  });
  for (const [domain, version] of teacher.opsets) if (!student.opsets.has(domain)) student.opsets.set(domain, version);
  for (const { model, shapesFor } of [own, other]) requireMemory(model.graph, shapesFor(1), options.limits?.memory);
  const [heads, others] = [headOf(own), headOf(other)];
  const sides = [sideOf(own, heads), sideOf(other, others)] as const;
  const { classes, outputs, loss } = matchedOutputs(sides, heads, others, match);
  const points = [...outputs, ...matchedPoints(sides, match, classes !== undefined)];
  const matching: Matching = { teacher: other, classes, points };
  const ends = [...(classes === undefined ? [] : [classes.student]), ...points.map((point) => point.student)];
  const trained = findTrained(own, ends, settings, heads?.warnings ?? []);
  if (match.batchNorm === 'frozen') runPasses(student, [freezeNormalization]);
  runPasses(teacher, [foldBatchNormalization, freezeNormalization, eliminateDeadNodes]);
  return { ...trained, goal: matchGoal(matching), teacher: other, matching, outputs, loss };
}

function headOf({ model, shapes }: OpenedModel): (ClassifierEnd & { readonly classes: number }) | undefined {
  const types = shapes();
  if (!hasClasses(model, types)) return undefined;
  const end = endOfModel(model, types);
  const classes = types
    .require(end.logits)
    .dims.slice(1)
    .find((dim) => dim > 1)!;
  return { ...end, classes };
}

function sideOf({ model, shapes }: OpenedModel, head: ClassifierEnd | undefined): MatchSide {
  const types = shapes();
  return { model, shapes: types, ends: head === undefined ? outputEnds(model, types) : [head.logits] };
}

type Head = ReturnType<typeof headOf>;

function matchedOutputs(
  [student, teacher]: readonly [MatchSide, MatchSide],
  own: Head,
  other: Head,
  { temperature, labelWeight }: MatchSettings,
): {
  readonly classes: MatchedClasses | undefined;
  readonly outputs: readonly MatchPoint[];
  readonly loss: LossName | undefined;
} {
  if (own !== undefined && other !== undefined) {
    if (own.classes !== other.classes) {
      throw new LowrankError('USAGE', `the model tells ${own.classes} classes apart, the teacher ${other.classes}`, {
        place: `output '${own.logits.name}' and output '${other.logits.name}'`,
        remedy: 'give the model that it was converted from as --teacher',
      });
    }
    const loss: LossName = own.kind === 'sigmoid' ? 'binary-cross-entropy' : 'cross-entropy';
    const { classes } = own;
    const compared = { student: own.logits, teacher: other.logits, classes, loss };
    return { classes: { ...compared, temperature, weight: 1, labelWeight }, outputs: [], loss };
  }
  if (labelWeight > 0) {
    throw new LowrankError('USAGE', 'labels are of classes, and the model is no classifier', {
      place: '--label-weight',
      remedy: 'leave it out',
    });
  }
  const outputs = outputPoints(student, teacher, 1);
  if (outputs !== undefined) return { classes: undefined, outputs, loss: undefined };
  throw new LowrankError('USAGE', 'the outputs of the model are not those of the teacher', {
    place: `${describe(student)}; the teacher has ${describe(teacher)}`,
    remedy: 'give the model that it was converted from as --teacher',
  });
}

function describe({ ends, shapes }: MatchSide): string {
  if (ends.length === 0) return 'no output that a gradient can begin at';
  return ends.map((end) => `'${end.name}' [${shapes.require(end).dims.slice(1).join(', ')}]`).join(', ');
}

function matchedPoints(
  [student, teacher]: readonly [MatchSide, MatchSide],
  { match, matchTensors }: MatchSettings,
  hasClassEnd: boolean,
): readonly MatchPoint[] {
  if (matchTensors !== null) {
    const points = namedPoints(student, teacher, matchTensors, 1);
    if (points.length > 0) return points;
    throw new LowrankError('USAGE', 'no value of both models has such a name and one shape', {
      place: `--match-tensors ${matchTensors.join(' ')}`,
      remedy: 'leave it out, or give names of values that both have',
    });
  }
  if (match === 'outputs') return [];
  const features = hasClassEnd ? featurePoints(student, teacher, 1) : [];
  if (match === 'features') {
    if (features.length > 0) return features;
    throw new LowrankError('USAGE', 'the models have no features before a last pool in common', {
      place: '--match features',
      remedy: 'give --match outputs, or leave it out',
    });
  }
  const layers = layerPoints(student, teacher, 1);
  if (match === 'layers' && layers.length === 0) {
    throw new LowrankError('USAGE', 'no layer of both models has one name and one shape', {
      place: '--match layers',
      remedy: 'give --match outputs, or leave it out',
    });
  }
  return [...features, ...layers];
}

/** Throws USAGE where a teacher that takes images of one size takes others than the model. */
function requireSameImages({ images, imageDims }: OpenedModel, teacher: Model): void {
  const inputs = teacher.graph.inputs.filter((value: Value) => value.tensor === undefined);
  const dims = inputs.length === 1 ? inputs[0]!.declared?.dims?.slice(1) : undefined;
  if (dims === undefined) return; // said when it is opened
  const fits =
    dims.length === imageDims.length && dims.every((dim, i) => typeof dim !== 'number' || dim === imageDims[i]);
  if (fits) return;
  throw new LowrankError('USAGE', 'the model and its teacher take other images', {
    place: `input '${images.name}' [${imageDims.join(', ')}]; the teacher's '${inputs[0]!.name}' [${dims.join(', ')}]`,
    remedy: 'give the model that it was converted from as --teacher',
  });
}
