import { depthwiseReason } from '../contracts/convert.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { ShapeTable } from '../ops/infer.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { type Geometry, heightAndWidth, kernelOf } from './geometry.js';
import {
  blockedDomain,
  commonRefusal,
  countOf,
  fixed,
  namesOf,
  noConstant,
  quantizedOps,
  typeOf,
  weightInputOf,
} from './layer-parts.js';
import type { FactorizableLayer, Layer } from './layers.js';
import { transposedNumbers } from './pair-window.js';

/** A convolution of one to three axes, of groups, or a transposed one, as a layer. */
export function convLayer(graph: Graph, node: Node, shapes: ShapeTable): Layer {
  const at = weightInputOf(node);
  const weightValue = node.inputs[at];
  const [input, output] = [typeOf(node.inputs[0], shapes), typeOf(node.outputs[0], shapes)];
  const weightDims = typeOf(weightValue, shapes)?.dims ?? [];
  const group = node.int('group', 1);
  const isTransposed = node.opType === 'ConvTranspose';
  const isKnown = input !== undefined && input.dims.length === output?.dims.length;
  const geometry = convGeometry(weightDims, group, isTransposed, isKnown ? [input.dims, output.dims] : undefined);
  const elements = weightDims.reduce((product, dim) => product * dim, weightDims.length > 0 ? 1 : 0);
  const bias = countOf(node.inputs[at === 3 ? 8 : 2], shapes);
  const mapDims = (isTransposed ? input : output)?.dims ?? [];
  const positions = mapDims.reduce((product, dim, axis) => (axis === 1 ? product : product * dim), 1);
  const macs = isKnown ? elements * positions : 0;
  const details = { geometry, group, params: elements + bias, macs };
  if (quantizedOps.has(node.opType)) return fixed(node, `quantized operator ${node.opType}`, details);
  if (node.domain === blockedDomain)
    return fixed(node, 'a blocked convolution, as onnxruntime optimizes models (NCHWc)', details);
  if ((node.opType !== 'Conv' && !isTransposed) || node.domain !== '') {
    return fixed(node, `${node.opType} is not factorized`, details);
  }
  const weight = weightValue === undefined ? undefined : resolveWeight(graph, weightValue);
  if (weight === undefined) return fixed(node, noConstant(weightValue), { ...details, params: bias });
  if (weightDims.length < 3 || weightDims.length > 5) {
    return fixed(node, `${weightDims.length - 2}-D convolution`, details);
  }
  const refusal = groupRefusal(geometry, group, isTransposed) ?? commonRefusal(weight, geometry, isKnown);
  if (refusal !== undefined) return fixed(node, refusal, details);
  const maps = { input: input!.dims.slice(2), output: output!.dims.slice(2) };
  const astray = isTransposed ? transposedRefusal(graph, node, weightDims.slice(2), maps) : undefined;
  if (astray !== undefined) return fixed(node, astray, details);
  return {
    kind: 'factorizable',
    node,
    ...namesOf(node, 1),
    form: isTransposed ? 'conv-transposed' : 'conv',
    geometry,
    group,
    weightInput: 1,
    weight,
    biasCount: bias,
    ...(isTransposed ? { maps } : {}),
  };
}

/** Why factors could not have the window of a transposed convolution for every size of its input. */
function transposedRefusal(
  graph: Graph,
  node: Node,
  kernel: readonly number[],
  maps: NonNullable<FactorizableLayer['maps']>,
): string | undefined {
  const isFixed = graph.inputs.every(({ tensor, declared }) => {
    return tensor !== undefined || declared?.dims?.slice(1).every((dim) => typeof dim === 'number') === true;
  });
  if ((node.ints('output_shape') ?? []).length > 0 && !isFixed) return 'its output_shape holds for inputs of any size';
  const windows = transposedNumbers(node, kernel, maps);
  if (windows.some(({ before, after }) => before < 0 || after < 0)) return 'its output is larger than its window gives';
  const isAstray = windows.some(
    ({ kernel: size, stride, before, after, outputPadding }) =>
      size === 1 && (stride > 1 || before > 0 || after > 0 || outputPadding > 0),
  );
  return isAstray ? 'a transposed convolution that moves what it does not multiply' : undefined;
}

/** Sizes of a convolution from those of its weight and maps; 1 where these are not known. */
function convGeometry(
  [first = 0, second = 0, ...kernel]: readonly number[],
  group: number,
  isTransposed: boolean,
  maps: readonly [input: readonly number[], output: readonly number[]] | undefined,
): Geometry {
  const sizes = (maps ?? [[], []]).map((dims) => heightAndWidth(dims.slice(2)));
  const [inputSize, outputSize] = isTransposed ? [sizes[1]!, sizes[0]!] : [sizes[0]!, sizes[1]!];
  return {
    // The weight of a transposed convolution is laid out as that of the one whose adjoint it is.
    ...{ out: first, in: second * group, ...kernelOf(kernel), inputSize, outputSize },
    batch: maps?.[0][0] ?? 1,
    ...(group === 1 ? {} : { groups: group }),
    ...(isTransposed ? { isTransposed } : {}),
  };
}

/** Why groups of channels are no gain. */
function groupRefusal(geometry: Geometry, group: number, isTransposed: boolean): string | undefined {
  if (group === 1) return undefined;
  const { in: inputs, out } = geometry;
  if (group === inputs || group === out) return depthwiseReason;
  if (isTransposed) return `grouped transposed convolution (${group} groups)`;
  return group < 1 || inputs % group !== 0 || out % group !== 0
    ? `${group} groups of ${inputs} and ${out} channels`
    : undefined;
}
