import { dataTypeName } from '../../onnx/data-type.js';
import table from './kernels.json' with { type: 'json' };

/**
 * The kernels of onnxruntime's CUDA provider, read out of its library by `scripts/cuda-kernels.py`. An entry counts from the
 * version `since` of an operator to the next entry. `in` and `out` name the type parameter of each input and output ("-": any
 * type), the last of them those that follow; a kernel lists the types of its parameters.
 */
interface Entry {
  readonly since: number;
  readonly kernels: readonly Readonly<Record<string, string>>[];
  readonly in?: string;
  readonly out?: string;
}

const operators: Readonly<Record<string, readonly Entry[]>> = table.operators;
const inlined: ReadonlySet<string> = new Set(table.inlined);

/** The onnxruntime whose provider was read. */
export const kernelsOf: string = table.onnxruntime;

/** An operator call: its types are TensorProto.DataType, undefined where they are not known or the value is left out. */
export interface Call {
  /** "" for ai.onnx. */
  readonly domain: string;
  readonly opType: string;
  /** Of the domain. */
  readonly opset: number;
  readonly inputs: readonly (number | undefined)[];
  readonly outputs: readonly (number | undefined)[];
}

/** Why the CUDA provider has no kernel for a call; undefined where it has one. Types that are not known count as fitting. */
export function missingKernel({ domain, opType, opset, inputs, outputs }: Call): string | undefined {
  const entries = operators[domain === '' ? opType : `${domain}.${opType}`];
  // onnxruntime replaces it by its body, of other operators.
  if (entries === undefined) return domain === '' && inlined.has(opType) ? undefined : 'it has no kernel on CUDA';
  const entry = entries.findLast(({ since }) => since <= opset);
  if (entry === undefined || entry.kernels.length === 0) return `it has no kernel on CUDA in opset ${opset}`;
  const types = [...typesOf(entry.in, inputs), ...typesOf(entry.out, outputs)];
  const fits = (kernel: Readonly<Record<string, string>>): boolean =>
    types.every(([parameter, type]) => kernel[parameter]?.split(' ').includes(shortName(type)) ?? true);
  if (entry.kernels.some(fits)) return undefined;
  const names = [...new Set(types.map(([, type]) => dataTypeName(type)))];
  return `it has no kernel on CUDA for ${names.join(' and ')} in opset ${opset}`;
}

/** The type parameter of each value whose type is known. */
function typesOf(
  parameters: string | undefined,
  types: readonly (number | undefined)[],
): (readonly [parameter: string, type: number])[] {
  const names = parameters?.split(' ') ?? [];
  return types.flatMap((type, i) => (type === undefined ? [] : [[names[i] ?? names.at(-1) ?? '-', type] as const]));
}

/** As in the table: "f32", "bool". */
function shortName(type: number): string {
  return dataTypeName(type)
    .replace(/^bfloat/, 'bf')
    .replace(/^uint/, 'u')
    .replace(/^int/, 'i')
    .replace(/^float/, 'f');
}
