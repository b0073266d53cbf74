import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import { checkModel } from '../graph/check.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { type InferOptions, inferShapes, type ShapeTable } from '../ops/infer.js';

/** A place where a pass would have applied but must not, and why. */
export interface Refusal {
  readonly node: Node;
  readonly reason: string;
}

export interface PassContext {
  /** Types of the graph as the pass finds it. */
  readonly shapes: ShapeTable;
  /** Records a refusal for the report. */
  refuse(node: Node, reason: string): void;
}

/** A rewrite of the graph that keeps what the model computes. One file each. */
export interface Pass {
  readonly name: string;
  /** One line for reports. */
  readonly summary: string;
  /** Throws where the model is not what the pass needs. */
  requires?(model: Model, context: PassContext): void;
  /** Changes the graph; gives the number of changes. */
  run(model: Model, context: PassContext): number;
  /** Throws where the pass did not bring about what it promises. */
  ensures?(model: Model, context: PassContext): void;
}

export interface PassResult {
  readonly name: string;
  readonly changes: number;
  readonly refusals: readonly Refusal[];
}

export interface PassReport {
  readonly passes: readonly PassResult[];
  /** Types after the last pass. */
  readonly shapes: ShapeTable;
}

export interface RunPassesOptions {
  /** How open dimensions are bound, and types found by a run. */
  readonly shapes?: InferOptions;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs passes in order: requires → run → the graph is checked and its shapes inferred again → ensures. Inputs and outputs
 * of the model must keep their names and types. Throws GRAPH naming the pass and those that ran before it, UNSUPPORTED where
 * a pass cannot do its work on this model, or ABORTED.
 */
export function runPasses(model: Model, passes: readonly Pass[], options: RunPassesOptions = {}): PassReport {
  const results: PassResult[] = [];
  let shapes = inferShapes(model, options.shapes);
  for (const pass of passes) {
    throwIfAborted(options.signal);
    const refusals: Refusal[] = [];
    const refuse = (node: Node, reason: string): void => void refusals.push({ node, reason });
    const before = interfaceOf(model, shapes);
    let step = 'does not apply';
    try {
      pass.requires?.(model, { shapes, refuse });
      step = 'failed';
      const changes = pass.run(model, { shapes, refuse });
      step = 'left a broken graph';
      checkModel(model);
      shapes = inferShapes(model, options.shapes);
      requireSame(before, interfaceOf(model, shapes));
      pass.ensures?.(model, { shapes, refuse });
      results.push({ name: pass.name, changes, refusals });
    } catch (error) {
      throw blame(error, pass, step, results);
    }
  }
  return { passes: results, shapes };
}

/**
 * A change that is no pass, since inputs or outputs have other types behind it, or it needs more than the model: the graph is
 * checked as behind a pass. Throws what `change` throws, GRAPH naming it where it left a broken graph.
 */
export function changeGraph(model: Model, name: string, change: () => void): void {
  change();
  try {
    checkModel(model);
  } catch (error) {
    throw blame(error, { name }, 'left a broken graph', []);
  }
}

/** Names and types of inputs and outputs. */
function interfaceOf({ graph }: Model, shapes: ShapeTable): string[] {
  const describe = (kind: string, value: Value): string => {
    const type = shapes.typeOf(value);
    return `${kind} '${value.name}'${type === undefined ? '' : ` ${describeType(type)}`}`;
  };
  const inputs = graph.inputs.filter(({ tensor }) => tensor === undefined);
  return [
    ...inputs.map((value) => describe('input', value)),
    ...graph.outputs.map((value) => describe('output', value)),
  ];
}

function requireSame(before: readonly string[], after: readonly string[]): void {
  const changed = before.find((line, i) => line !== after[i]) ?? after[before.length];
  if (changed === undefined) return;
  throw new LowrankError('GRAPH', `${changed} became ${after[before.indexOf(changed)] ?? 'something else'}`);
}

function blame(error: unknown, pass: Pick<Pass, 'name'>, step: string, done: readonly PassResult[]): unknown {
  if (error instanceof LowrankError && error.code === 'ABORTED') return error;
  const fact = error instanceof LowrankError ? error.fact : messageOf(error);
  const ran = done.length === 0 ? 'the first pass' : `after ${done.map(({ name }) => name).join(', ')}`;
  const place = error instanceof LowrankError && error.place !== undefined ? `${error.place}, ${ran}` : ran;
  const isRefused = error instanceof LowrankError && error.code === 'UNSUPPORTED';
  return new LowrankError(isRefused ? 'UNSUPPORTED' : 'GRAPH', `pass ${pass.name} ${step}: ${fact}`, {
    place,
    ...(error instanceof LowrankError && error.remedy !== undefined ? { remedy: error.remedy } : {}),
    cause: error,
  });
}
