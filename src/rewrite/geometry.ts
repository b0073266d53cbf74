import type { Scheme } from '../contracts/convert.js';

/** Sizes of a convolution or dense layer: all that counts of parameters and MACs depend on. */
export interface Geometry {
  /** Neurons: output channels or features. */
  readonly out: number;
  readonly in: number;
  /** [kh, kw]; [1, 1] for dense layers. */
  readonly kernel: readonly [number, number];
  /** [height, width] of the input and output maps; [1, positions] for dense layers; batch counted into `batch`. */
  readonly inputSize: readonly [number, number];
  readonly outputSize: readonly [number, number];
  /** Images of one run. */
  readonly batch: number;
}

/** Rows and columns of the matrix that a scheme factorizes, and how many rows belong to one neuron. */
export interface MatrixShape {
  readonly rows: number;
  readonly cols: number;
  readonly rowsPerNeuron: number;
}

/**
 * spatial: out·kh × in·kw (Khodak et al., with the permutation (0,2,1,3)); channel: out × in·kh·kw; dense: out × in.
 */
export function matrixShape(geometry: Geometry, scheme: Scheme): MatrixShape {
  const [kh, kw] = geometry.kernel;
  if (scheme === 'spatial') return { rows: geometry.out * kh, cols: geometry.in * kw, rowsPerNeuron: kh };
  return { rows: geometry.out, cols: geometry.in * kh * kw, rowsPerNeuron: 1 };
}

/** out·in·kh·kw. */
export function weightCount(geometry: Geometry): number {
  return geometry.out * geometry.in * geometry.kernel[0] * geometry.kernel[1];
}

/** out·in·kh·kw·Ho·Wo·N. */
export function fullMacs(geometry: Geometry): number {
  return weightCount(geometry) * geometry.outputSize[0] * geometry.outputSize[1] * geometry.batch;
}

/** Parameters that one more rank costs: rows + cols. */
export function paramsPerRank(geometry: Geometry, scheme: Scheme): number {
  const { rows, cols } = matrixShape(geometry, scheme);
  return rows + cols;
}

/**
 * MACs that one more rank costs. spatial: in·kw·Hi·Wo + out·kh·Ho·Wo (the 1×kw convolution strides in width only);
 * channel and dense: (in·kh·kw + out)·Ho·Wo; all times N.
 */
export function macsPerRank(geometry: Geometry, scheme: Scheme): number {
  const [kh, kw] = geometry.kernel;
  const [inputHeight] = geometry.inputSize;
  const [height, width] = geometry.outputSize;
  if (scheme === 'spatial') {
    return geometry.batch * (geometry.in * kw * inputHeight * width + geometry.out * kh * height * width);
  }
  return geometry.batch * (geometry.in * kh * kw + geometry.out) * height * width;
}

/** min(rows, cols). */
export function maxRank(geometry: Geometry, scheme: Scheme): number {
  const { rows, cols } = matrixShape(geometry, scheme);
  return Math.min(rows, cols);
}

/** Largest rank with strictly fewer parameters and strictly fewer MACs than the layer; 0 where there is none. */
export function breakEvenRank(geometry: Geometry, scheme: Scheme): number {
  const byParams = Math.ceil(weightCount(geometry) / paramsPerRank(geometry, scheme)) - 1;
  const byMacs = Math.ceil(fullMacs(geometry) / macsPerRank(geometry, scheme)) - 1;
  return Math.max(0, Math.min(byParams, byMacs, maxRank(geometry, scheme)));
}

/** Schemes that a layer can take: 1×1 convolutions and dense layers have one form. */
export function schemesOf(geometry: Geometry, isDense: boolean): readonly Scheme[] {
  if (isDense) return ['dense'];
  const [kh, kw] = geometry.kernel;
  return kh === 1 && kw === 1 ? ['channel'] : ['spatial', 'channel'];
}
