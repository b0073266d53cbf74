import { LowrankError } from '../errors.js';
import { int } from '../graph/attributes.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Position } from '../graph/graph.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { dataTypeName } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import type { ElementType, RuntimeTensor } from '../runtime/types.js';
import { constantOf, typedData } from './input-value.js';

/** Inputs that have one value for all images: `--input mask=1`. */
export interface FixedInputs {
  /** What a run of the model as it was takes of them, for so many images. */
  feeds(batch: number): Readonly<Record<string, RuntimeTensor>>;
  /** Makes them inputs again: the graph is as it was. */
  release(): void;
}

/** What stands for a fixed input in a graph. */
const prefix = 'lowrank.fixed:';

/** Whether a tensor is what an input was fixed to: no weight, and no parameter. */
export function isFixedInput(name: string): boolean {
  return name.startsWith(prefix);
}

/**
 * Fixes inputs of a model, so that the images are the only one left: each becomes a constant, by Expand (ai.onnx 8) with as many rows as
 * there are images where its first dimension is open. `given`: "name=value", the value a number, for all
 * elements, a list of numbers for those of one image ("0,1,2"), or "@file.npy" with these. Inputs that were fixed before are left.
 * `isFoldable`: passes may take the constants for what they are; default: not, so that `release` can give back the graph as it was.
 * Throws USAGE for names that the model does not have, and values that do not fit an input; UNSUPPORTED where its type is no number, or
 * the images are not the one input that is left.
 */
export function fixInputs(model: Model, given: readonly string[] = [], isFoldable = false): FixedInputs {
  const { graph } = model;
  const all = [...graph.inputs];
  const open = (): readonly Value[] => graph.inputs.filter(({ tensor }) => tensor === undefined);
  const fixed: Fixed[] = [];
  for (const text of given) {
    if (isFixedAlready(model, text)) continue;
    const value = open().find(({ name }) => text.startsWith(`${name}=`));
    if (value === undefined) throw noInput(text, open());
    fixed.push({ value, ...constantOf(value, `${prefix}${value.name}`, text.slice(value.name.length + 1)) });
    graph.inputs.splice(graph.inputs.indexOf(value), 1);
  }
  if (fixed.length === 0) return { feeds: () => ({}), release: () => {} };
  const [images, ...others] = open();
  if (images === undefined || others.length > 0) {
    graph.inputs.splice(0, graph.inputs.length, ...all);
    const left = images === undefined ? 'no input is left for the images' : 'more than one input is left';
    throw new LowrankError('UNSUPPORTED', `${left}: ${describeInputs(open())}`, { remedy: inputRemedy });
  }
  for (const each of fixed) expand(model, images, each, isFoldable);
  return {
    feeds: (batch) => Object.fromEntries(fixed.map((each) => [each.value.name, feedOf(each, batch)])),
    release() {
      for (const { value } of fixed) graph.makeInput(value);
      graph.inputs.splice(0, graph.inputs.length, ...all);
    },
  };
}

interface Fixed {
  readonly value: Value;
  readonly tensor: Tensor;
  /** Whether its first dimension is the number of images. */
  readonly isOpen: boolean;
}

/** Feeds of a model that has only images left, as those of the model as it was. */
export function withFixed(
  feeds: Readonly<Record<string, RuntimeTensor>>,
  fixed: FixedInputs,
): Readonly<Record<string, RuntimeTensor>> {
  return { ...feeds, ...fixed.feeds(Object.values(feeds)[0]?.dims[0] ?? 1) };
}

/** What can be done where a model has other inputs than the images. */
export const inputRemedy = 'give each other input a value with --input name=value, a number or @file.npy';

/** Inputs for messages: "'x' float32 [n, 3, 8, 8], 'mask' bool [n, 77]". */
export function describeInputs(inputs: readonly Value[]): string {
  const texts = inputs.map(({ name, declared }) =>
    declared === undefined ? `'${name}'` : `'${name}' ${describeType(declared)}`,
  );
  return texts.length === 0 ? 'none' : texts.join(', ');
}

function isFixedAlready({ graph }: Model, text: string): boolean {
  return graph.initializers.some(({ name }) => isFixedInput(name) && text.startsWith(`${name.slice(prefix.length)}=`));
}

function noInput(text: string, inputs: readonly Value[]): LowrankError {
  const at = text.indexOf('=');
  const fact = at < 1 ? `'${text}' says no input and its value` : `the model has no input '${text.slice(0, at)}'`;
  return new LowrankError('USAGE', fact, {
    place: `--input ${text}`,
    remedy: `write name=value; its inputs are ${describeInputs(inputs)}`,
  });
}

/** Puts nodes in front of all others that make a value of its constant. */
function expand(model: Model, images: Value, { value, tensor, isOpen }: Fixed, isFoldable: boolean): void {
  const { graph } = model;
  if (isOpen && opsetOf(model) < 8) {
    throw new LowrankError(
      'UNSUPPORTED',
      `the model is of opset ${opsetOf(model)}, and Expand of '${value.name}' needs 8`,
    );
  }
  value.isInput = false;
  const named = (part: string): string => graph.uniqueName(`${tensor.name}.${part}`);
  let at: Position = graph.nodes[0] === undefined ? {} : { before: graph.nodes[0] };
  const emit = (opType: string, inputs: readonly Value[], output: Value, attributes = {}): Value => {
    const name = graph.uniqueNodeName(output.name);
    at = { after: graph.addNode({ opType, name, inputs, outputs: [output], attributes }, at) };
    return output;
  };
  const isGathered = !isOpen && !isFoldable;
  const constant = graph.addInitializer(
    isGathered ? Tensor.of(tensor.name, tensor.dataType, [1, ...tensor.dims], tensor.bytes()) : tensor,
  );
  const ints = (part: string, numbers: readonly number[]): Value =>
    graph.addInitializer(Tensor.ofInts(named(part), [numbers.length], numbers));
  if (!isOpen && isFoldable) {
    emit('Identity', [constant], value);
    return;
  }
  const shape = emit('Shape', [images], graph.addValue(named('images')));
  if (!isOpen) {
    // The first of one, by an index that nobody knows beforehand.
    const count = emit(
      'Gather',
      [shape, graph.addInitializer(Tensor.ofInts(named('first'), [], [0]))],
      graph.addValue(named('batch')),
    );
    const zero = emit('Sub', [count, count], graph.addValue(named('zero')));
    emit('Gather', [constant, zero], value);
    return;
  }
  const batch = emit('Gather', [shape, ints('first', [0])], graph.addValue(named('batch')), { axis: int(0) });
  const dims = [batch, ...(tensor.dims.length === 0 ? [] : [ints('dims', tensor.dims)])];
  emit('Expand', [constant, emit('Concat', dims, graph.addValue(named('shape')), { axis: int(0) })], value);
}

function feedOf({ tensor, isOpen }: Fixed, batch: number): RuntimeTensor {
  const type = dataTypeName(tensor.dataType) as ElementType;
  const raw = tensor.bytes();
  const copies = isOpen ? batch : 1;
  const bytes = new Uint8Array(raw.length * copies);
  for (let copy = 0; copy < copies; copy++) bytes.set(raw, copy * raw.length);
  const dims = isOpen ? [batch, ...tensor.dims] : tensor.dims;
  return { type, dims, data: typedData(type, bytes.buffer) };
}
