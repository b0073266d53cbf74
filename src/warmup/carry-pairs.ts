import type { Scheme } from '../contracts/convert.js';
import { readModel } from '../graph/read.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { type Geometry, groupsOf } from '../rewrite/geometry.js';
import { findLayers, type LayerForm } from '../rewrite/layers.js';
import {
  fromKernels,
  isOutputMajor,
  joinGroups,
  type Kernel,
  splitGroups,
  toKernels,
  toMatrices,
} from '../rewrite/layout.js';
import type { FactorPair } from '../rewrite/types.js';
import { readPairs } from '../rewrite/pairs.js';
import { prepareModel } from '../rewrite/prepare.js';
import type { OptimizerName } from '../contracts/train-settings.js';
import type { TrainedTensor, TrainedTensors } from '../step/laid-out.js';

/** A layer that became a pair: where its weight lay, and where the factors lie. */
export interface CutLayer {
  readonly weight: string;
  readonly scheme: Scheme;
  readonly geometry: Geometry;
  readonly form: LayerForm;
  readonly transB: number;
  /** In the order in which they are applied. */
  readonly factors: readonly string[];
}

/** The layers of the model before that the one behind has pairs of. Those whose weight is stored in another layout are left out. */
export async function cutLayers(before: string, behind: string): Promise<readonly CutLayer[]> {
  const pairs = readModel(behind);
  try {
    const { model, shapes } = await prepareModel(before);
    try {
      const layers = new Map(findLayers(model.graph, shapes).map((layer) => [layer.name, layer]));
      return readPairs(pairs).flatMap(({ name, scheme, factors }): CutLayer[] => {
        const layer = layers.get(name);
        if (layer?.kind !== 'factorizable' || layer.weight.chain.length > 0 || factors.length !== 2) return [];
        const { geometry, form, node, weight } = layer;
        return [{ weight: weight.source.name, scheme, geometry, form, transB: node.int('transB', 0), factors }];
      });
    } finally {
      model.file?.close();
    }
  } finally {
    pairs.file?.close();
  }
}

/** What a buffer of an optimizer holds of the gradients G: a sum of them (SGD's momentum, Adam's m), of their squares, or of steps that were taken. */
type BufferKind = 'gradients' | 'squares' | 'steps';

const bufferKinds: Readonly<Record<OptimizerName, readonly BufferKind[]>> = {
  sgd: ['gradients'],
  adam: ['gradients', 'squares'],
  adamw: ['gradients', 'squares'],
  rmsprop: ['squares', 'steps'],
};

/**
 * Carries what the optimizer kept of a layer's weight W over to its factors, W ≈ L R. Of a sum m of gradients the factors have what
 * the chain rule makes of it: m Rᵀ and Lᵀ m. Mean squares v become v (R∘R)ᵀ and (L∘L)ᵀ v, as if the elements of a gradient were
 * independent, and no less than the square of the factor's own m: a step of Adam behind the border is then no longer than its learning
 * rate. Steps that were taken (momentum of RMSprop) begin at zero.
 */
export async function carryPairs(
  layers: readonly CutLayer[],
  optimizer: OptimizerName,
  linalg: Pick<Linalg, 'gemm'>,
  before: TrainedTensors,
  others: TrainedTensors,
): Promise<void> {
  for (const layer of layers) {
    const old = before.get(layer.weight);
    const tensors = layer.factors.flatMap((name) => others.get(name) ?? []);
    if (old === undefined || tensors.length !== 2 || old.buffers.length !== tensors[0]!.buffers.length) continue;
    await carryPair(layer, bufferKinds[optimizer], linalg, old, tensors);
  }
}

async function carryPair(
  { geometry, scheme, form, transB }: CutLayer,
  kinds: readonly BufferKind[],
  linalg: Pick<Linalg, 'gemm'>,
  old: TrainedTensor,
  tensors: readonly TrainedTensor[],
): Promise<void> {
  const kernels = tensors.map(({ shape, value }): Kernel => ({ dims: shape, data: value }));
  const [right, left] = fromKernels(kernels, form, transB) as [Matrix, Matrix];
  const groups = groupsOf(geometry);
  let mean: readonly Matrix[] | undefined;
  for (const [at, buffer] of old.buffers.entries()) {
    const kind = kinds[at];
    if (kind === undefined || kind === 'steps') continue;
    const matrices = toMatrices(buffer, geometry, scheme, isOutputMajor(form, transB));
    const whole = kind === 'squares' ? { right: squared(right), left: squared(left) } : { right, left };
    const parts: FactorPair[] = [];
    for (const [group, one] of splitGroups(whole, groups).entries()) {
      parts.push({
        right: await linalg.gemm(one.left, matrices[group]!, { transposeA: true }),
        left: await linalg.gemm(matrices[group]!, one.right, { transposeB: true }),
      });
    }
    const joint = joinGroups(parts);
    const projected = [joint.right, joint.left];
    if (kind === 'gradients') mean = projected;
    const own =
      kind === 'squares' && mean !== undefined ? projected.map((each, i) => atLeast(each, mean![i]!)) : projected;
    for (const [i, { data }] of toKernels(own, geometry, scheme, form, transB).entries())
      tensors[i]!.buffers[at]!.set(data);
  }
}

const squared = ({ data, ...shape }: Matrix): Matrix => ({ ...shape, data: data.map((value) => value * value) });

/** Elements that are smaller than the square of those of another matrix become that. */
const atLeast = ({ data, ...shape }: Matrix, root: Matrix): Matrix => ({
  ...shape,
  data: data.map((value, i) => Math.max(value, root.data[i]! ** 2)),
});
