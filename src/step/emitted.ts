import { Graph } from '../graph/graph.js';
import { type Model, newModel } from '../graph/model.js';
import type { Dimension, Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { Emitter } from '../ops/emitter.js';
import { ownDomain } from '../ops/lowrank-drop-path.js';
import type { HalfType } from '../ops/precision.js';
import { irVersionFor, trainingOpset } from '../passes/raise-opset.js';
import { tool } from '../version.js';
import { batchSymbol } from '../passes/open-batch.js';
import type { Pass } from '../passes/runner.js';

/** A graph that was emitted, ready to be run or written. */
export interface EmittedGraph {
  readonly model: Model;
  bytes(): Uint8Array;
}

/** How a graph is emitted. */
export interface EmitSettings {
  /** The batch size that shapes are inferred for; what the graph takes unless `isBatchOpen`. */
  readonly batch: number;
  readonly isBatchOpen: boolean;
  /** Of the gradient graph and the eval graph, when they are whole: what the device that it runs on needs. */
  readonly passes?: readonly Pass[];
}

/** An empty graph and the emitter that fills it, in float32 or, where operators gain from it, in `half`. */
export function startGraph(
  name: string,
  opsets: ReadonlyMap<string, number>,
  isBatchOpen: boolean,
  half?: HalfType,
): { readonly model: Model; readonly e: Emitter } {
  const graph = new Graph(name);
  // Emitted graphs have other operators in the place of markers.
  const imported = new Map([...opsets].filter(([domain]) => domain !== ownDomain));
  const model = newModel(graph, imported, irVersionFor(opsets.get('') ?? trainingOpset), tool);
  return { model, e: new Emitter(graph, { opsets: imported, isBatchOpen, half }) };
}

/** Declares an input; with an open batch its first dimension becomes a symbol where `isBatched`. */
export function addInput(
  e: Emitter,
  name: string,
  dataType: number,
  dims: readonly number[],
  isBatched = false,
): Value {
  const declared: Dimension[] = [...dims];
  if (isBatched && e.isBatchOpen) declared[0] = batchSymbol;
  return e.declare(e.graph.addInput(name, { dataType, dims: declared }), { dataType, dims });
}

export function addOutput(e: Emitter, value: Value, isBatched = false): void {
  const { dataType, dims } = e.typeOf(value);
  const declared: Dimension[] = [...dims];
  if (isBatched && e.isBatchOpen) declared[0] = batchSymbol;
  e.graph.addOutput(value, { dataType, dims: declared });
}

export function emitted(model: Model): EmittedGraph {
  let bytes: Uint8Array | undefined;
  return { model, bytes: () => (bytes ??= modelBytes(model)) };
}
