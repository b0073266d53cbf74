import { ancestors, sortedAncestors } from '../graph/ancestors.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { layerOperators } from '../passes/output-ends.js';
import { type CutModel, cutModel } from './cut-model.js';
import { layOut } from './flat.js';
import type { Trainable } from './goals/goal.js';
import { matchGoal, type MatchPoint } from './goals/match.js';
import { isAlike, type MatchSide } from './match-points.js';
import { probeBatch } from './prepare-model.js';
import type { PreparedMatching } from './prepare-matching.js';

/** A part of a model and the same part of its teacher: what the one makes of a value, the other makes of its own. */
export interface Block {
  /** The value that it computes; of the last block, the first output. */
  readonly name: string;
  /** Its goal is fed what the teacher's part gives (`taughtInputs`). */
  readonly student: Trainable;
  readonly teacher: CutModel;
}

/** A block without a residual sum ends behind so many layers of the teacher. */
const mostLayers = 3;

/**
 * Takes both models apart at values that all of the images flow through, by name and shape the same in both: each block has a
 * residual sum or some layers, and parameters; one block where there is no such value. Expects what `prepareMatching` gives.
 */
export function blocksOf(prepared: PreparedMatching): readonly Block[] {
  const { matching, teacher, parameters } = prepared;
  const shapes = prepared.shapesFor(probeBatch);
  const ends = endsOf(prepared);
  const student: MatchSide = { model: prepared.model, shapes, ends: ends.map((end) => end.student) };
  const other: MatchSide = {
    model: teacher.model,
    shapes: teacher.shapesFor(probeBatch),
    ends: ends.map((end) => end.teacher),
  };
  const trained = new Set(parameters.map(({ value }) => value));
  const cuts = chooseCuts(commonWaists(student, other), trained);
  const points = [...cuts.map((cut) => [cut]), undefined];
  return points.map((point, i): Block => {
    const from = i === 0 ? { student: prepared.images, teacher: teacher.images } : cuts[i - 1]!;
    const to = point ?? ends;
    const own = cutModel(
      prepared,
      from.student,
      to.map((value) => value.student),
    );
    const taught = cutModel(
      teacher,
      from.teacher,
      to.map((value) => value.teacher),
    );
    const hasClasses = point === undefined && matching.classes !== undefined;
    const goal = matchGoal({
      teacher: undefined,
      classes: hasClasses
        ? { ...matching.classes, student: own.outputs[0]!, teacher: taught.outputs[0]!, labelWeight: 0 }
        : undefined,
      points: hasClasses
        ? []
        : to.map(({ name, dims }, at) => ({
            ...{ name, dims, weight: 1 / to.length },
            student: own.outputs[at]!,
            teacher: taught.outputs[at]!,
          })),
    });
    return { name: to[0]!.name, student: trainable(prepared, own, goal), teacher: taught };
  });
}

/** What both models end in. */
function endsOf({ matching: { classes }, outputs }: PreparedMatching): readonly Omit<MatchPoint, 'weight'>[] {
  if (classes === undefined) return outputs;
  const { student, teacher } = classes;
  return [{ name: student.name, dims: [probeBatch, classes.classes], student, teacher }];
}

/** The part as a model that is trained: what it stores of the parameters and statistics of the whole. */
function trainable(whole: PreparedMatching, part: CutModel, goal: Trainable['goal']): Trainable {
  const { model, images, imageDims, shapesFor } = part;
  const stored = new Map(model.graph.initializers.map((value) => [value.name, value]));
  const own = <T extends { readonly name: string; readonly shape: readonly number[] }>(
    slots: readonly T[],
  ): (T & { readonly value: Value })[] =>
    slots.flatMap((slot) => {
      const value = stored.get(slot.name);
      return value === undefined ? [] : [{ ...slot, value }];
    });
  return {
    ...{ model, images, imageDims, shapesFor, goal },
    ...{ layout: 'nchw', kept: [], copies: new Map(), pairs: [], warnings: [] },
    parameters: layOut(own(whole.parameters)),
    statistics: layOut(own(whole.statistics)),
  };
}

interface Waist extends Omit<MatchPoint, 'weight'> {
  /** What of the stored tensors the student reads since the waist before. */
  readonly stored: readonly Value[];
  readonly teacherLayers: number;
  readonly isSum: boolean;
}

/** Values of both that everything flows through, in the order of the images' way. */
function commonWaists(student: MatchSide, teacher: MatchSide): readonly Waist[] {
  const others = new Map(waistsOf(teacher).map((waist) => [waist.value.name, waist]));
  const found: Waist[] = [];
  let stored: Value[] = [];
  let [seenLayers, isSum] = [0, false];
  for (const own of waistsOf(student)) {
    stored.push(...own.stored);
    const other = others.get(own.value.name);
    if (other === undefined) continue;
    isSum ||= own.value.producer?.is('Add') === true && own.isJoin;
    if (!isAlike(own.value, student.shapes, other.value, teacher.shapes)) continue;
    const { dims } = student.shapes.require(own.value);
    if (dims[0] !== probeBatch) continue;
    const { name } = own.value;
    const teacherLayers = other.layersBefore - seenLayers;
    seenLayers = other.layersBefore;
    found.push({ name, dims, student: own.value, teacher: other.value, stored, teacherLayers, isSum });
    stored = [];
    isSum = false;
  }
  return found;
}

/** Of waists, those that blocks end at: see `blocksOf`. What has no layer of its own goes with what is before it. */
function chooseCuts(waists: readonly Waist[], trained: ReadonlySet<Value>): readonly Waist[] {
  const cuts: Waist[] = [];
  let hasTrained = false;
  let [layers, isSum] = [0, false];
  waists.forEach((waist, i) => {
    hasTrained ||= waist.stored.some((value) => trained.has(value));
    layers += waist.teacherLayers;
    isSum ||= waist.isSum;
    const next = waists[i + 1];
    const isEnough = isSum || layers >= mostLayers;
    // What follows without a layer belongs to it, and what is last to the end.
    if (!isEnough || next === undefined || next.teacherLayers === 0 || !hasTrained) return;
    cuts.push(waist);
    hasTrained = false;
    [layers, isSum] = [0, false];
  });
  return cuts;
}

interface OwnWaist {
  readonly value: Value;
  /** Read since the waist before. */
  readonly stored: readonly Value[];
  readonly layersBefore: number;
  /** Whether several values of the images meet in it. */
  readonly isJoin: boolean;
}

/** Values that all ways from the images to the ends go through, the images and the ends themselves left out. */
function waistsOf({ model, ends }: MatchSide): readonly OwnWaist[] {
  const ofImages = new Set(model.graph.inputs.filter(({ tensor }) => tensor === undefined));
  const isSeen = (value: Value | undefined): value is Value => value !== undefined && ofImages.has(value);
  const nodes = sortedAncestors(model.graph, ...ends);
  const needed = new Set<Node>();
  for (const node of nodes) {
    if (!node.inputs.some(isSeen)) continue;
    needed.add(node);
    for (const value of node.outputs) if (value !== undefined) ofImages.add(value);
  }
  /** Values that are read later on, and how often. */
  const live = new Map<Value, number>();
  const readersOf = (value: Value): number =>
    value.uses.filter(({ node }) => needed.has(node)).length + (ends.includes(value) ? 1 : 0);
  const found: OwnWaist[] = [];
  let stored: Value[] = [];
  let layersBefore = 0;
  for (const node of nodes) {
    if (!needed.has(node)) continue;
    const others = node.inputs.filter((value) => value !== undefined && !isSeen(value)) as Value[];
    stored.push(...storedBehind(others));
    if (layerOperators.has(node.opType) && node.domain === '') layersBefore++;
    for (const input of node.inputs) {
      if (!isSeen(input)) continue;
      const left = (live.get(input) ?? readersOf(input)) - 1;
      if (left > 0) live.set(input, left);
      else live.delete(input);
    }
    for (const output of node.outputs) {
      if (output === undefined) continue;
      const readers = readersOf(output);
      if (readers > 0) live.set(output, readers);
    }
    const [value] = live.keys();
    if (live.size !== 1 || value === undefined || value.producer !== node || ends.includes(value)) continue;
    const isJoin = node.inputs.filter(isSeen).length > 1;
    found.push({ value, stored, layersBefore, isJoin });
    stored = [];
  }
  return found;
}

/** The stored tensors that values are made of. */
function storedBehind(values: readonly Value[]): readonly Value[] {
  const read = [...values, ...[...ancestors(...values)].flatMap(({ inputs }) => inputs)];
  return read.filter((value): value is Value => value?.tensor !== undefined);
}
