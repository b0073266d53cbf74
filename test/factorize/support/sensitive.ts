import { basisOf } from '../../../src/factorize/sensitivity/basis.js';
import {
  type Curve,
  type Curves,
  observeModel,
  type ObservedModel,
} from '../../../src/factorize/sensitivity/observe.js';
import { orderMoments } from '../../../src/factorize/calibration/scheme-order.js';
import type { CalibrationImages } from '../../../src/factorize/calibration/types.js';
import type { Candidate } from '../../../src/factorize/candidates.js';
import { countMacs } from '../../../src/rewrite/count.js';
import { matrixShape } from '../../../src/rewrite/geometry.js';
import { isOutputMajor, toMatrix } from '../../../src/rewrite/layout.js';
import { selectLayers } from '../../../src/factorize/select-layers.js';
import type { ConvertOptions } from '../../../src/convert/options.js';
import { type ConvertSettings, resolveSettings } from '../../../src/convert/settings.js';
import { readModel } from '../../../src/graph/read.js';
import { modelBytes } from '../../../src/graph/write.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { FLOAT } from '../../../src/onnx/data-type.js';
import { Tensor } from '../../../src/onnx/tensor.js';
import { inferShapes } from '../../../src/ops/infer.js';
import type { Scheme } from '../../../src/contracts/convert.js';
import { loadDriver } from '../../../src/runtime/driver.js';

const driver = await loadDriver();
const session = { threads: 1 };

export interface Observed extends ObservedModel {
  readonly candidates: readonly Candidate[];
  readonly settings: ConvertSettings;
  readonly images: CalibrationImages;
}

/** What `observeModel` finds of a model of one input. */
export async function observe(
  bytes: Uint8Array,
  images: CalibrationImages,
  linalg: Linalg,
  options: ConvertOptions = {},
): Promise<Observed> {
  const settings = resolveSettings({ allowBigger: true, ...options }, 'images');
  const inputShapes = { [images.input]: images.dims };
  const model = readModel(bytes);
  const single = inferShapes(model, { inputShapes: { [images.input]: [1, ...images.dims.slice(1)] } });
  const { selection } = selectLayers(
    model,
    images.dims[0] === 1 ? single : inferShapes(model, { inputShapes }),
    settings.selection,
    settings.fitting.init,
  );
  const copy = readModel(bytes);
  const opened = { copy, shapes: inferShapes(copy, { inputShapes }), images };
  const { seed } = settings;
  const macs = countMacs(model.graph, single);
  const context = {
    path: 'test',
    model,
    driver,
    session,
    seed,
    settings: settings.ranks,
    biasCorrection: settings.fitting.biasCorrection,
    linalg,
    macs,
  };
  const observed = await observeModel(selection.candidates, opened, context);
  return { ...observed, candidates: selection.candidates, settings, images };
}

export function curveOf({ curves, candidates }: Observed, layer: string, scheme: Scheme): Curve {
  const candidate = candidates.find(({ layer: { name } }) => name === layer);
  return curves.get(candidate!)!.get(scheme)!;
}

/** The changes that gradients tell, without the share of its loss that every layer counts at least by. */
export function gradientsOnly(curves: Curves): Curves {
  const whole = [...curves.values()].map((own) => [...own.values()][0]!.changes[0]!);
  // Each has 1 % of the mean of all added.
  const floor = (0.01 / 1.01) * (whole.reduce((sum, change) => sum + change, 0) / whole.length);
  return new Map(
    [...curves].map(([candidate, own]) => [
      candidate,
      new Map(
        [...own].map(([scheme, { losses, changes }]) => [
          scheme,
          { losses, changes: changes.map((change, rank) => change - floor * losses[rank]!) },
        ]),
      ),
    ]),
  );
}

/**
 * The model with the weight of one candidate replaced by what is left of it at a rank: no pair, the sum U_r U_rᵀ W in the
 * weight's own place. `shift` is added to the constant `bias`.
 */
export async function cutModel(
  bytes: Uint8Array,
  { candidates, moments }: Observed,
  cut: { readonly layer: string; readonly scheme: Scheme; readonly rank: number },
  linalg: Linalg,
  shift?: { readonly bias: string; readonly by: Float64Array },
): Promise<Uint8Array> {
  const candidate = candidates.find(({ layer: { name } }) => name === cut.layer)!;
  const { geometry, form, node, weight } = candidate.layer;
  const data = weight.data();
  const isOut = isOutputMajor(form, node.int('transB', 0));
  const matrix = toMatrix(data, geometry, cut.scheme, isOut);
  const { rowsPerNeuron } = matrixShape(geometry, cut.scheme);
  const own = orderMoments(moments.get(candidate)!, geometry, cut.scheme);
  const { left, right } = await basisOf({ weight: matrix, rowsPerNeuron, moments: own, most: cut.rank, linalg });
  // Where each number of the matrix is in the weight.
  const places = toMatrix(
    Float32Array.from(data, (_, index) => index),
    geometry,
    cut.scheme,
    isOut,
  ).data;
  const rest = new Float32Array(data.length);
  for (let row = 0, at = 0; row < matrix.rows; row++) {
    for (let col = 0; col < matrix.cols; col++, at++) {
      let sum = 0;
      for (let k = 0; k < cut.rank; k++) sum += left.data[row * left.cols + k]! * right.data[k * matrix.cols + col]!;
      rest[places[at]!] = sum;
    }
  }
  const model = readModel(bytes);
  replace(model, weight.tensor.name, rest);
  if (shift !== undefined) {
    const old = model.graph.value(shift.bias)!.tensor!.toFloat32();
    replace(
      model,
      shift.bias,
      Float32Array.from(old, (value, index) => value + shift.by[index]!),
    );
  }
  return modelBytes(model);
}

function replace({ graph }: ReturnType<typeof readModel>, name: string, data: Float32Array): void {
  const value = graph.value(name)!;
  graph.setTensor(value, Tensor.ofFloats(name, value.tensor!.dims, data, FLOAT));
}

/** Means of a value over all but the axis of its channels, over all images. */
export async function meansOfValue(
  bytes: Uint8Array,
  name: string,
  axis: number,
  images: CalibrationImages,
): Promise<Float64Array> {
  const model = readModel(bytes);
  model.graph.addOutput(model.graph.value(name)!, { dataType: FLOAT, dims: undefined });
  const running = await driver.createSession(modelBytes(model), session);
  let sums = new Float64Array(0);
  let count = 0;
  try {
    for await (const { feeds } of images.batches()) {
      const { data, dims } = (await running.run(feeds, [name]))[name]!;
      const channels = dims.at(axis)!;
      const inner = dims.slice(axis < 0 ? dims.length + axis + 1 : axis + 1).reduce((product, dim) => product * dim, 1);
      if (sums.length === 0) sums = new Float64Array(channels);
      (data as Float32Array).forEach((value, at) => (sums[Math.floor(at / inner) % channels]! += value));
      count += data.length / channels;
    }
  } finally {
    await running.close();
  }
  return sums.map((sum) => sum / count);
}
