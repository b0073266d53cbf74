import { dirname } from 'node:path';
import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import { encodeModel } from '../graph/encode.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { isOverLimit, type RunLimits, withinLimits } from '../limits.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import type { TensorType } from '../ops/operator.js';
import type { Driver, RuntimeTensor } from '../runtime/types.js';
import { ones, typeOfTensor } from './ones.js';

export interface CompleteOptions {
  readonly limits?: RunLimits | undefined;
  /** Whether the model is run later, within the same limits. */
  readonly isRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the types that rules and declarations leave open by running the model once on the CPU, with inputs of ones (zeros
 * where they are integers) and the values in question as further outputs, and infers again from there. Shapes that depend
 * on data are those of this one run.
 * Never throws because onnxruntime cannot run the model (a custom domain, too little memory, inputs of unknown shape): the
 * table that comes back then says so in `warnings`. Throws ABORTED; and RUNTIME where the run would take more than it may and
 * the model is run later anyway.
 */
export async function completeShapes(
  model: Model,
  table: ShapeTable,
  driver: Driver,
  { limits, isRun = false, signal }: CompleteOptions = {},
): Promise<ShapeTable> {
  const wanted = table.unknown.flatMap(({ node }) =>
    node.outputs.filter((value): value is Value => value !== undefined && table.typeOf(value) === undefined),
  );
  if (wanted.length === 0) return table;
  throwIfAborted(signal);
  const names = wanted.slice(0, 3).map(({ name }) => `'${name}'`);
  const subject = `the shapes of ${names.join(', ')}${wanted.length > 3 ? ` and ${wanted.length - 3} more` : ''}`;
  try {
    requireMemory(model.graph, table, limits?.memory);
    const found = await withinLimits('running the model to find its shapes', limits, signal, (within) =>
      observe(model, table, driver, wanted, within),
    );
    const again = inferShapes(model, { ...table.options, found });
    const note = `${subject} come from one run: no rule gives them`;
    return { ...again, warnings: [...again.warnings, note] };
  } catch (error) {
    throwIfAborted(signal);
    if (isRun && isOverLimit(error)) throw error;
    const note = `${subject} are not known, and running the model to see them failed: ${messageOf(error)}`;
    return { ...table, warnings: [...table.warnings, note] };
  }
}

/** Types of `wanted` in one run. */
async function observe(
  model: Model,
  table: ShapeTable,
  driver: Driver,
  wanted: readonly Value[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<Value, TensorType>> {
  const { bytes, folder } = withOutputs(model, wanted);
  const session = await driver.createSession(bytes, {
    device: 'cpu',
    graphOptimization: 'disabled',
    ...(folder === undefined ? {} : { externalDataFolder: folder }),
  });
  try {
    const feeds: Record<string, RuntimeTensor> = {};
    for (const value of model.graph.inputs) {
      if (value.tensor !== undefined) continue;
      const type = table.typeOf(value);
      if (type === undefined) {
        throw new LowrankError('SHAPE', `input '${value.name}' has no shape`, { remedy: 'give it with --input-shape' });
      }
      feeds[value.name] = ones(type);
    }
    // Sequences, maps and strings cannot be read; tensors behind them can.
    const readable = new Set(
      session.outputs.filter(({ type }) => type !== 'other' && type !== 'string').map(({ name }) => name),
    );
    const asked = wanted.filter(({ name }) => readable.has(name));
    if (asked.length === 0) return new Map();
    const results = await session.run(
      feeds,
      asked.map(({ name }) => name),
      { signal },
    );
    return new Map(asked.map((value) => [value, typeOfTensor(results[value.name]!)]));
  } finally {
    await session.close();
  }
}

/** The model with further outputs. External data stays where it is, so that large models cost no memory here. */
function withOutputs(model: Model, values: readonly Value[]): { bytes: Uint8Array; folder: string | undefined } {
  return exposing(model.graph, values, () => {
    const path = model.file?.path;
    if (path === undefined) return { bytes: modelBytes(model), folder: undefined };
    const chunks = encodeModel(model);
    const pieces = chunks.map((chunk) =>
      chunk instanceof Uint8Array ? chunk : chunk.source.read(chunk.start, chunk.end),
    );
    return { bytes: Buffer.concat(pieces), folder: dirname(path) };
  });
}

/** Runs `action` while `values` are graph outputs too. */
function exposing<T>(graph: Graph, values: readonly Value[], action: () => T): T {
  const before = graph.outputs.length;
  try {
    for (const value of values) if (!value.isOutput) graph.addOutput(value);
    return action();
  } finally {
    for (const value of graph.outputs.splice(before)) value.isOutput = false;
  }
}
