import type { Scheme } from '../contracts/convert.js';
import { sizeOf } from '../ops/support/layout.js';
import { schemeNames, schemes } from './schemes/index.js';
import type { SchemeFactor } from './schemes/scheme.js';

/**
 * Sizes of a convolution or dense layer: all that counts of parameters and MACs depend on. A transposed convolution has those of
 * the convolution whose adjoint it is, which leads from its output to its input.
 */
export interface Geometry {
  /** Neurons: output channels or features; of a transposed convolution its input channels. */
  readonly out: number;
  readonly in: number;
  /** [kh, kw]; [1, 1] for dense layers; of one axis [k, 1]; of three [kd, kh·kw]. */
  readonly kernel: readonly [number, number];
  /** [height, width] of the input and output maps; [1, positions] for dense layers; batch counted into `batch`. */
  readonly inputSize: readonly [number, number];
  readonly outputSize: readonly [number, number];
  /** Images of one run. */
  readonly batch: number;
  /** Parts of the channels that do not meet each other, each with its own weights. Default 1. */
  readonly groups?: number;
  /** Of a product with a weight of more than two axes: those in front of the matrices, of which there is one for each group. */
  readonly stack?: readonly number[];
  /** The kernel along each axis, where these are not two. */
  readonly axes?: readonly number[];
  readonly isTransposed?: true;
}

/** Sizes along any axes as of two: the first counts as height, all others together as width. */
export function heightAndWidth([height = 1, ...others]: readonly number[]): readonly [height: number, width: number] {
  return [height, sizeOf(others)];
}

/** The kernel along these axes, as a geometry has it. */
export function kernelOf(sizes: readonly number[]): Pick<Geometry, 'kernel' | 'axes'> {
  return { kernel: heightAndWidth(sizes), ...(sizes.length === 2 ? {} : { axes: sizes }) };
}

/** Whether a factor's window has the axis of that number. */
export function hasAxis([hasHeight, hasWidth]: SchemeFactor['window'], axis: number): boolean {
  return axis === 0 ? hasHeight : hasWidth;
}

/** The kernel along each axis: [kh, kw], of one axis [k], of three [kd, kh, kw]. */
export function kernelSizes({ kernel, axes = kernel }: Pick<Geometry, 'kernel' | 'axes'>): readonly number[] {
  return axes;
}

/** Channels as the layer itself has them. */
export function channelsOf({ in: inputs, out, isTransposed }: Geometry): { readonly in: number; readonly out: number } {
  return isTransposed === true ? { in: out, out: inputs } : { in: inputs, out };
}

/** Rows and columns of the matrix that a scheme factorizes, of one group, and how many rows belong to one neuron. */
export interface MatrixShape {
  readonly rows: number;
  readonly cols: number;
  readonly rowsPerNeuron: number;
}

/** The kernels of a scheme's factors along each axis, as `kernelSizes` has them, in the order in which they are applied. */
export function factorKernelSizes(geometry: Geometry, scheme: Scheme): readonly (readonly number[])[] {
  return schemes[scheme].factors.map(({ window }) =>
    kernelSizes(geometry).map((size, axis) => (hasAxis(window, axis) ? size : 1)),
  );
}

/**
 * Rows are (neuron, the last factor's window), columns (input channel, the windows of the others). spatial: out·kh × in·kw;
 * channel: out × in·kh·kw; dense: out × in.
 */
export function matrixShape(geometry: Geometry, scheme: Scheme): MatrixShape {
  const areas = factorKernelSizes(geometry, scheme).map(sizeOf);
  const rowsPerNeuron = areas.at(-1)!;
  const groups = groupsOf(geometry);
  const cols = areas.slice(0, -1).reduce((product, area) => product * area, geometry.in / groups);
  return { rows: (geometry.out / groups) * rowsPerNeuron, cols, rowsPerNeuron };
}

export function groupsOf({ groups = 1 }: Pick<Geometry, 'groups'>): number {
  return groups;
}

/** out·in·kh·kw, over the groups. */
export function weightCount(geometry: Geometry): number {
  return (geometry.out * geometry.in * geometry.kernel[0] * geometry.kernel[1]) / groupsOf(geometry);
}

/** out·in·kh·kw·Ho·Wo·N. */
export function fullMacs(geometry: Geometry): number {
  return weightCount(geometry) * geometry.outputSize[0] * geometry.outputSize[1] * geometry.batch;
}

/**
 * Parameters of the factors at this rank, without bias; of two factors rank · (rows + cols) in each group. Of three factors the rank is
 * what lies before the last one, `inner` what lies behind the first.
 */
export function factorParams(geometry: Geometry, scheme: Scheme, rank: number, inner = rank): number {
  return sumOfFactors(geometry, scheme, [inner, rank], false);
}

/**
 * MACs of the factors at this rank; each shrinks the map along its own window only. spatial: rank · (in·kw·Hi·Wo + out·kh·Ho·Wo)
 * (the 1×kw convolution strides in width only); channel and dense: rank · (in·kh·kw + out)·Ho·Wo; all times N.
 */
export function factorMacs(geometry: Geometry, scheme: Scheme, rank: number, inner = rank): number {
  return geometry.batch * sumOfFactors(geometry, scheme, [inner, rank], true);
}

/** Weights of all factors, or their products with the positions of one image. Called for every rank there is: nothing is allocated. */
function sumOfFactors(
  geometry: Geometry,
  scheme: Scheme,
  [inner, rank]: readonly [inner: number, rank: number],
  isAtPositions: boolean,
): number {
  const { factors } = schemes[scheme];
  const { kernel, outputSize } = geometry;
  const groups = groupsOf(geometry);
  let [height, width] = geometry.inputSize;
  let inputs = geometry.in;
  let sum = 0;
  for (let at = 0; at < factors.length; at++) {
    const { window } = factors[at]!;
    const isLast = at === factors.length - 1;
    const out = isLast ? geometry.out : (at === factors.length - 2 ? rank : inner) * groups;
    if (window[0]) height = outputSize[0];
    if (window[1]) width = outputSize[1];
    const weights = (out * inputs * (window[0] ? kernel[0] : 1) * (window[1] ? kernel[1] : 1)) / groups;
    sum += isAtPositions ? weights * height * width : weights;
    inputs = out;
  }
  return sum;
}

/** min(rows, cols). */
export function maxRank(geometry: Geometry, scheme: Scheme): number {
  const { rows, cols } = matrixShape(geometry, scheme);
  return Math.min(rows, cols);
}

/** Largest rank with strictly fewer parameters and strictly fewer MACs than the layer; 0 where there is none. */
export function breakEvenRank(geometry: Geometry, scheme: Scheme): number {
  const [params, macs] = [weightCount(geometry), fullMacs(geometry)];
  return largestRank(
    maxRank(geometry, scheme),
    (rank) => factorParams(geometry, scheme, rank) < params && factorMacs(geometry, scheme, rank) < macs,
  );
}

/** The largest rank up to `limit` that fits, where every smaller one fits too; 0 where none does. */
export function largestRank(limit: number, fits: (rank: number) => boolean): number {
  let [most, tooMany] = [0, limit + 1];
  while (tooMany - most > 1) {
    const middle = Math.floor((most + tooMany) / 2);
    if (fits(middle)) most = middle;
    else tooMany = middle;
  }
  return most;
}

/** Schemes that a layer can take: 1×1 convolutions and dense layers have one form. */
export function schemesOf(geometry: Geometry, isDense: boolean): readonly Scheme[] {
  return schemeNames().filter((scheme) => schemes[scheme].appliesTo(geometry, isDense));
}
