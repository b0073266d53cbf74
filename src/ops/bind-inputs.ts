import { LowrankError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import type { TensorType } from './operator.js';

/** Numbers for the dimensions that a model leaves open. */
export interface BindOptions {
  /** Whole shapes by input name. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  /** Numbers by symbol, such as `batch`. */
  readonly bindings?: Readonly<Record<string, number>>;
  /** Side of an image whose size is open; default 224. */
  readonly defaultSide?: number;
}

/** Concrete types of the inputs, and the number that each symbol stands for. */
export interface BoundInputs {
  /** Inputs of unknown rank or without a tensor type are left out. */
  readonly types: ReadonlyMap<Value, TensorType>;
  readonly bindings: ReadonlyMap<string, number>;
}

const imageSide = 224;
const colors = 3;

/**
 * Gives every open dimension of the graph's inputs a number, and every symbol the same number everywhere:
 * 1. `inputShapes` says all dimensions of an input; 2. `bindings` says symbols;
 * 3. an open first dimension, the batch, is 1; 4. other open dimensions of inputs of three and more axes are
 * `defaultSide` (224), but where all three behind the batch are open, the first of them is 3, the colors;
 * 5. other open dimensions of smaller inputs are 1.
 *
 * Initializers that are also inputs (IR 3) keep their own shape.
 * Throws SHAPE where what is given contradicts the model or itself, USAGE where it names no input.
 */
export function bindInputs(graph: Graph, options: BindOptions = {}): BoundInputs {
  const { inputShapes = {}, defaultSide = imageSide } = options;
  const bindings = new Map(Object.entries(options.bindings ?? {}));
  const inputs = graph.inputs.filter((value) => value.tensor === undefined);
  checkNames(inputs, inputShapes);
  for (const [symbol, size] of bindings) checkSize(size, `symbol '${symbol}'`);
  // What is given comes before any default: a symbol may stand in several inputs.
  for (const value of inputs) {
    const shape = inputShapes[value.name];
    if (shape !== undefined) bindShape(value, shape, bindings);
  }
  const types = new Map<Value, TensorType>();
  for (const value of inputs) {
    if (value.declared === undefined) continue;
    const { dataType, dims } = value.declared;
    const shape = inputShapes[value.name];
    if (shape !== undefined) {
      types.set(value, { dataType, dims: [...shape] });
      continue;
    }
    if (dims === undefined) continue;
    const isColorOpen = dims.length === 4 && dims.slice(1).every((dim) => typeof dim !== 'number');
    const bound = dims.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const isBatch = axis === 0 || dims.length < 3;
      const size = bindings.get(dim ?? '') ?? (isBatch ? 1 : axis === 1 && isColorOpen ? colors : defaultSide);
      if (dim !== undefined) bindings.set(dim, size);
      return size;
    });
    types.set(value, { dataType, dims: bound });
  }
  return { types, bindings };
}

function checkNames(inputs: readonly Value[], shapes: Readonly<Record<string, readonly number[]>>): void {
  const names = inputs.map(({ name }) => name);
  for (const [name, shape] of Object.entries(shapes)) {
    if (!names.includes(name)) {
      throw new LowrankError('USAGE', `the model has no input '${name}'`, {
        remedy: `its inputs are ${names.map((known) => `'${known}'`).join(', ')}`,
      });
    }
    for (const size of shape) checkSize(size, `input '${name}'`);
  }
}

function checkSize(size: number, place: string): void {
  if (!Number.isSafeInteger(size) || size < 0)
    throw new LowrankError('USAGE', `impossible dimension ${size}`, { place });
}

function bindShape(value: Value, shape: readonly number[], bindings: Map<string, number>): void {
  const { declared } = value;
  if (declared?.dims === undefined) return;
  const refuse = (fact: string): never => {
    throw new LowrankError('SHAPE', fact, {
      place: `input '${value.name}' is ${describeType(declared)}`,
      remedy: 'give another --input-shape, or another --image-size',
    });
  };
  if (shape.length !== declared.dims.length) refuse(`shape [${shape.join(', ')}] has ${shape.length} dimensions`);
  declared.dims.forEach((dim, axis) => {
    const size = shape[axis]!;
    if (typeof dim === 'number' && dim !== size) refuse(`shape [${shape.join(', ')}] differs at axis ${axis}`);
    if (typeof dim !== 'string') return;
    const bound = bindings.get(dim);
    if (bound !== undefined && bound !== size) refuse(`'${dim}' would be both ${bound} and ${size}`);
    bindings.set(dim, size);
  });
}
