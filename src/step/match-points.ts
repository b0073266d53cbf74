import { ancestors, sortedAncestors } from '../graph/ancestors.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import type { ShapeTable } from '../ops/infer.js';
import { layerOperators } from '../passes/output-ends.js';
import { matchesGlob } from '../rewrite/glob.js';
import type { MatchPoint } from './goals/match.js';

/** A model and its types, and what it ends in: logits, or outputs as far as they can be differentiated. */
export interface MatchSide {
  readonly model: Model;
  readonly shapes: ShapeTable;
  readonly ends: readonly Value[];
}

/** What of a model is made that of another beside its outputs. */
export const matchNames = ['auto', 'outputs', 'features', 'layers'] as const;
export type MatchName = (typeof matchNames)[number];

/** Operators that make one number of a map. */
const pools: ReadonlySet<string> = new Set(['GlobalAveragePool', 'GlobalMaxPool', 'ReduceMean', 'AveragePool']);

/**
 * The outputs of layers that both models have by name and shape: of a layer with BatchNormalization behind it alone, that of the
 * normalization. The weights sum to `weight`.
 */
export function layerPoints(student: MatchSide, teacher: MatchSide, weight: number): readonly MatchPoint[] {
  const names = sortedAncestors(teacher.model.graph, ...teacher.ends)
    .filter((node) => node.domain === '' && layerOperators.has(node.opType))
    .flatMap((node) => behindNormalization(node)?.name ?? []);
  return share(weight, common(student, teacher, names));
}

/** What the last pool before the outputs reads. */
export function featurePoints(student: MatchSide, teacher: MatchSide, weight: number): readonly MatchPoint[] {
  const names = teacher.ends.flatMap((end) => featureOf(end)?.name ?? []);
  return share(weight, common(student, teacher, [...new Set(names)]));
}

/** Values that both have by name, with a name that one of the globs matches; none that a BatchNormalization behind it is folded into. */
export function namedPoints(
  student: MatchSide,
  teacher: MatchSide,
  globs: readonly string[],
  weight: number,
): readonly MatchPoint[] {
  const names = sortedAncestors(teacher.model.graph, ...teacher.ends)
    .filter((node) => !layerOperators.has(node.opType) || behindNormalization(node) === node.outputs[0])
    .flatMap(({ outputs }) => outputs.flatMap((value) => value?.name ?? []))
    .filter((name) => globs.some((glob) => matchesGlob(name, glob)));
  return share(weight, common(student, teacher, names));
}

/** The ends of two models as points, by name or, where names differ, by place; undefined where they are not of one shape each. */
export function outputPoints(
  student: MatchSide,
  teacher: MatchSide,
  weight: number,
): readonly MatchPoint[] | undefined {
  if (student.ends.length !== teacher.ends.length || student.ends.length === 0) return undefined;
  const byName = teacher.ends.map((end) => student.ends.find(({ name }) => name === end.name));
  const hasAll = byName.every((value) => value !== undefined);
  const partners = hasAll ? byName : student.ends;
  const points = teacher.ends.map((end, i) => ({
    ...{ name: end.name, teacher: end, student: partners[i]! },
    dims: teacher.shapes.require(end).dims,
  }));
  const areAlike = points.every((point) => isAlike(point.student, student.shapes, point.teacher, teacher.shapes));
  return areAlike ? share(weight, points) : undefined;
}

function share(weight: number, points: readonly Omit<MatchPoint, 'weight'>[]): readonly MatchPoint[] {
  return points.map((point) => ({ ...point, weight: weight / points.length }));
}

function behindNormalization(layer: Node): Value | undefined {
  const [output] = layer.outputs;
  const [use] = output?.uses ?? [];
  const isAlone = output?.uses.length === 1 && !output.isOutput;
  return isAlone && use!.node.is('BatchNormalization') ? use!.node.outputs[0] : output;
}

function featureOf(end: Value): Value | undefined {
  let value: Value | undefined = end;
  for (let steps = 0; value?.producer !== undefined && steps < 16; steps++) {
    const node: Node = value.producer;
    if (node.domain === '' && pools.has(node.opType)) return node.inputs[0];
    value = node.inputs[0];
  }
  return undefined;
}

function common(student: MatchSide, teacher: MatchSide, names: readonly string[]): Omit<MatchPoint, 'weight'>[] {
  const reached = new Set([...ancestors(...student.ends)].flatMap(({ outputs }) => outputs));
  return names.flatMap((name) => {
    const [own, other] = [student.model.graph.value(name), teacher.model.graph.value(name)];
    if (own === undefined || other === undefined || !reached.has(own)) return [];
    if (!isAlike(own, student.shapes, other, teacher.shapes)) return [];
    return [{ name, dims: student.shapes.require(own).dims, student: own, teacher: other }];
  });
}

/** Whether both are floats of one shape. */
export function isAlike(a: Value, shapesOfA: ShapeTable, b: Value, shapesOfB: ShapeTable): boolean {
  const [own, other] = [shapesOfA.typeOf(a), shapesOfB.typeOf(b)];
  if (own?.dataType !== FLOAT || other?.dataType !== FLOAT) return false;
  return own.dims.length > 0 && own.dims.join() === other.dims.join();
}
