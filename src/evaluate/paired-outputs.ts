import { LowrankError } from '../errors.js';
import type { Value } from '../graph/value.js';
import { dataTypeName } from '../onnx/data-type.js';
import { choosingOperators, endsBefore } from '../passes/output-ends.js';
import type { MatchModel } from './match-model.js';
import { floatTypes, wholeTypes } from './output-types.js';

/** A value of the original and that of the model which is compared with it. */
export interface OutputPair {
  readonly original: Value;
  readonly own: Value;
  /** Outputs behind it, which it is compared in place of. */
  readonly insteadOf?: readonly string[];
}

export interface PairedOutputs {
  readonly pairs: readonly OutputPair[];
  /** By their names in the original. */
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/**
 * Which outputs are compared: those of one name or, where names differ, of one place. Of outputs that operators choose by what is in
 * a picture, what they are made of. Throws UNSUPPORTED where there are none.
 */
export function pairOutputs(model: MatchModel, original: MatchModel): PairedOutputs {
  const leftOut: { name: string; reason: string }[] = [];
  const pairs: OutputPair[] = [];
  const chosen: (OutputPair & { readonly operators: readonly string[] })[] = [];
  const { partners, warnings } = partnersOf(model, original);
  for (const [index, output] of original.model.graph.outputs.entries()) {
    const { name } = output;
    const own = partners[index];
    const operators = own === undefined ? [] : chosenBy(model, own, original, output);
    if (own === undefined) leftOut.push({ name, reason: `${model.path} has no such output` });
    else if (!isOfNumbers(output) || !isOfNumbers(own)) leftOut.push({ name, reason: 'it is no tensor of numbers' });
    else if (operators.length > 0) chosen.push({ original: output, own, operators });
    else pairs.push({ original: output, own });
  }
  if (chosen.length > 0) {
    const names = chosen.map(({ original: { name } }) => name);
    const operators = [...new Set(chosen.flatMap((each) => each.operators))].join(' and ');
    const reason = `what ${operators} gives is another for each picture`;
    for (const name of names) leftOut.push({ name, reason });
    const before = pairsBefore(chosen, model, original);
    const compared = listed(before.map((pair) => pair.original.name));
    const instead = before.length === 0 ? '' : `: what it is made of is, ${compared}`;
    warnings.push(`${listed(names)} of ${original.path} is not compared by position, for ${reason}${instead}`);
    const isOutput = (value: Value): boolean => pairs.some((pair) => pair.original === value);
    for (const { original: value, own } of before) {
      if (!isOutput(value)) pairs.push({ original: value, own, insteadOf: names });
    }
  }
  const [first] = leftOut;
  if (pairs.length === 0) {
    throw new LowrankError('UNSUPPORTED', `no output can be compared: '${first?.name ?? ''}', ${first?.reason ?? ''}`, {
      place: `${model.path} and ${original.path}`,
      remedy: 'give a model and that which it was made of',
    });
  }
  const saidBefore = new Set(chosen.map(({ original: { name } }) => name));
  for (const { name, reason } of leftOut) {
    if (!saidBefore.has(name)) warnings.push(`output '${name}' of ${original.path} is not compared: ${reason}`);
  }
  return { pairs, leftOut, warnings };
}

/** The model's output for each of the original. */
function partnersOf(
  { model, path }: MatchModel,
  original: MatchModel,
): { readonly partners: readonly (Value | undefined)[]; readonly warnings: string[] } {
  const [own, others] = [model.graph.outputs, original.model.graph.outputs];
  const byName = others.map(({ name }) => own.find((output) => output.name === name));
  if (byName.every((output) => output === undefined) && own.length === others.length) {
    return { partners: own, warnings: [`outputs of ${path} have other names: they are compared in their order`] };
  }
  const extra = own.filter((output) => !byName.includes(output)).map(({ name }) => name);
  return {
    partners: byName,
    warnings:
      extra.length === 0 ? [] : [`${listed(extra)} of ${path} is not compared: ${original.path} has no such output`],
  };
}

/** What chooses one of the two outputs by what is in a picture. Classes are in their order also where tokens were ranked before. */
function chosenBy(model: MatchModel, own: Value, original: MatchModel, output: Value): readonly string[] {
  const operatorsOf = ({ end, model: { graph } }: MatchModel, value: Value): readonly string[] => {
    const areClasses = end !== undefined && graph.outputs[0] === value;
    return choosingOperators(graph, value).filter((operator) => !areClasses || operator !== 'TopK');
  };
  return [...new Set([...operatorsOf(original, output), ...operatorsOf(model, own)])];
}

/** What chosen outputs are made of in both, by name or, where names differ, by place; none where they are not of one shape each. */
function pairsBefore(chosen: readonly OutputPair[], model: MatchModel, original: MatchModel): readonly OutputPair[] {
  const endsOf = (values: readonly Value[], { shapes }: MatchModel): readonly Value[] => [
    ...new Set(values.flatMap((value) => endsBefore(value, shapes))),
  ];
  const others = endsOf(
    chosen.map((pair) => pair.original),
    original,
  );
  const ends = endsOf(
    chosen.map(({ own }) => own),
    model,
  );
  if (ends.length !== others.length) return [];
  const byName = others.map(({ name }) => ends.find((end) => end.name === name));
  const partners = byName.every((end) => end !== undefined) ? byName : ends;
  const pairs = others.map((value, index) => ({ original: value, own: partners[index]! }));
  const dims = (value: Value, { shapes }: MatchModel): string => String(shapes.typeOf(value)?.dims.slice(1));
  return pairs.every((pair) => dims(pair.original, original) === dims(pair.own, model)) ? pairs : [];
}

function isOfNumbers({ declared }: Value): boolean {
  if (declared === undefined) return false;
  const name = dataTypeName(declared.dataType);
  return floatTypes.has(name) || wholeTypes.has(name);
}

function listed(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ');
}
