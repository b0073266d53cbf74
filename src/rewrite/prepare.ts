import { LowrankError } from '../errors.js';
import type { RunLimits } from '../limits.js';
import { hasBody } from '../graph/body-nodes.js';
import { checkModel } from '../graph/check.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import { sha256 } from '../files/hash.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { dequantize } from '../passes/dequantize.js';
import { type FixedInputs, fixInputs } from '../passes/fix-inputs.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { completeShapes } from '../passes/resolve-by-running.js';
import { runPasses } from '../passes/runner.js';
import { spellOutProjections } from '../passes/spell-out-projections.js';
import { foldWeights } from './fold-weights.js';
import type { ModelSummary } from '../contracts/convert.js';
import type { Driver } from '../runtime/types.js';

/** A model, read, checked, with all shapes that can be known. */
export interface PreparedModel {
  readonly model: Model;
  readonly shapes: ShapeTable;
  readonly warnings: string[];
  readonly fixed: FixedInputs;
}

/** Newest and oldest ai.onnx opset that the operators here are written for. */
const opsetRange = [7, 25] as const;

export interface PrepareOptions {
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  /** Asked for only where shapes must be found out by running the model. */
  readonly driver?: () => Promise<Driver>;
  /** What runs of the model may take. */
  readonly limits?: RunLimits;
  /** Whether the model will be run: one that needs more memory than `limits` is refused (RUNTIME). Default false. */
  readonly isRun?: boolean;
  /** Whether weights that are computed of stored tensors become stored ones, with `driver`. Default false. */
  readonly foldsWeights?: boolean;
  /** Whether onnxruntime's Attention gives its weights on to a product, which is a layer: see `spellOutProjections`. Default false. */
  readonly opensAttention?: boolean;
  /** Whether one in QDQ form is made a float model: see `dequantize`. Default false. */
  readonly isDequantized?: boolean;
  /** Values of inputs that are no images: see `fixInputs`. */
  readonly inputs?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reads and checks a model, in inference form, and infers its shapes. The caller closes `model.file`. Throws what `readModel` and inference throw. */
export async function prepareModel(input: string, options: PrepareOptions = {}): Promise<PreparedModel> {
  const model = readModel(input);
  try {
    checkModel(model);
    const settled = [...toInferenceForm(model), ...(options.isDequantized === true ? dequantize(model) : [])];
    settled.push(...(await folded(model, options)), ...opened(model, options));
    const fixed = fixInputs(model, options.inputs);
    const { shapes, warnings } = await shapesOf(model, options);
    return { model, shapes, fixed, warnings: [...settled, ...warnings] };
  } catch (error) {
    model.file?.close();
    throw withPath(error, input);
  }
}

async function folded(model: Model, { foldsWeights, driver, limits, signal }: PrepareOptions): Promise<string[]> {
  if (foldsWeights !== true || driver === undefined) return [];
  const count = await foldWeights(model, driver, { limits, signal });
  if (count === 0) return [];
  const [what, they] = count === 1 ? ['a weight is', 'it is'] : [`${count} weights are`, 'they are'];
  return [`${what} computed from stored tensors in every run: ${they} taken as stored numbers`];
}

function opened(model: Model, { opensAttention, inputShapes = {} }: PrepareOptions): string[] {
  const isAttention = (node: Node): boolean => node.domain === 'com.microsoft' && node.opType === 'Attention';
  if (opensAttention !== true || !model.graph.nodes.some(isAttention)) return [];
  const { passes } = runPasses(model, [spellOutProjections], { shapes: { inputShapes } });
  const { changes, refusals } = passes[0]!;
  const stay = refusals.map(({ node, reason }) => `the weights in ${node.label} stay there: ${reason}`);
  if (changes === 0) return stay;
  return [`${changes} × Attention of onnxruntime became a product, which is a layer, and MultiHeadAttention`, ...stay];
}

/** Shapes of a model at bound inputs, completed by running it once where inference alone does not do. */
async function shapesOf(
  model: Model,
  options: PrepareOptions = {},
): Promise<{ shapes: ShapeTable; warnings: string[] }> {
  const warnings: string[] = [];
  const opset = opsetOf(model);
  if (opset < opsetRange[0] || opset > opsetRange[1]) {
    warnings.push(`opset ${opset} is outside ${opsetRange[0]} to ${opsetRange[1]}, which is what was tested`);
  }
  let shapes = inferShapes(model, { inputShapes: options.inputShapes ?? {} });
  if (options.isRun === true) requireMemory(model.graph, shapes, options.limits?.memory);
  if (shapes.unknown.length > 0 && options.driver !== undefined) {
    const { limits, isRun, signal } = options;
    shapes = await completeShapes(model, shapes, await options.driver(), { limits, isRun, signal });
    if (isRun === true) requireMemory(model.graph, shapes, limits?.memory);
  }
  warnings.push(...shapes.warnings);
  const bodies = model.graph.nodes.filter(hasBody);
  if (bodies.length > 0) {
    const names = bodies.slice(0, 3).map((node) => node.label);
    const more = bodies.length > 3 ? ` and ${bodies.length - 3} more` : '';
    warnings.push(`layers inside control flow are left untouched: ${names.join(', ')}${more}`);
  }
  return { shapes, warnings };
}

/** The facts about a model that reports begin with. */
export function summarize(model: Model, shapes: ShapeTable, path: string): ModelSummary {
  const input = model.graph.inputs.find((value) => !value.isInitializer);
  return describeModel(model, input === undefined ? [] : [...(shapes.typeOf(input)?.dims ?? [])], path);
}

/** As `summarize`, where the shape of the input is known otherwise. */
export function describeModel(model: Model, inputShape: readonly number[], path: string): ModelSummary {
  return {
    path,
    sha256: model.file === undefined ? '' : sha256(model.file.source),
    producer: [model.producerName, model.producerVersion].filter((part) => part !== '').join(' '),
    irVersion: model.irVersion,
    opset: opsetOf(model),
    inputShape,
  };
}

function withPath(error: unknown, path: string): unknown {
  if (!(error instanceof LowrankError) || error.message.includes(path)) return error;
  return new LowrankError(error.code, error.fact, {
    place: error.place === undefined ? path : `${path}, ${error.place}`,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    cause: error,
  });
}
