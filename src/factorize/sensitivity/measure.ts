import { throwIfAborted } from '../../errors.js';
import { readModel } from '../../graph/read.js';
import { modelBytes } from '../../graph/write.js';
import type { Linalg } from '../../linalg/types.js';
import { inferShapes } from '../../ops/infer.js';
import { constantsToInitializers } from '../../passes/constants-to-initializers.js';
import { inlineFunctions } from '../../passes/inline-functions.js';
import { raiseOpset } from '../../passes/raise-opset.js';
import { runPasses } from '../../passes/runner.js';
import { fillWords, randomStream } from '../../random.js';
import type { Scheme } from '../../report/contract.js';
import type { RuntimeTensor } from '../../runtime/types.js';
import { hasBiasPlace } from '../bias.js';
import { factorizable, type ImageContext, momentRequest, openImages, patchSize, pool, probe, sameLayer } from '../calibration/fit-on-data.js';
import { orderMoments } from '../calibration/scheme-order.js';
import type { CalibrationBatch, Moments } from '../calibration/types.js';
import type { Candidate } from '../candidates.js';
import { breakEvenRank, matrixShape } from '../geometry.js';
import { isOutputMajor, toMatrix } from '../layout.js';
import { allowedSchemes } from '../plan-choice.js';
import type { ConvertSettings } from '../settings.js';
import { type Basis, basisOf } from './basis.js';
import { emitProjections, type ProjectedLayer } from './emit-projections.js';

export interface Curve {
  /** Of each rank from 0 on: the share of E‖Wx‖² that is lost. */
  readonly losses: Float64Array;
  /** Of each rank from 0 on: half the mean square of what the outputs move by. */
  readonly changes: Float64Array;
  /** images × (most + 1): what each image's projection moves by. */
  readonly moves: readonly Float64Array[];
}

export type Curves = ReadonlyMap<Candidate, ReadonlyMap<Scheme, Curve>>;

export interface SensitivityContext extends ImageContext {
  readonly settings: ConvertSettings;
  readonly linalg: Linalg;
  readonly biasCorrection: boolean;
  /** Images that gradients are taken of. */
  readonly gradientImages: number;
}

const opset = 17;
const groupBytes = 512e6;

export async function measureCurves(
  candidates: readonly Candidate[],
  calibrate: Parameters<typeof openImages>[0],
  context: SensitivityContext,
): Promise<Curves> {
  const { settings, linalg } = context;
  const { copy, shapes, images } = await openImages(calibrate, context);
  try {
    void shapes;
    const run = { ...context, images };
    const bases = new Map<Candidate, { readonly bases: Map<Scheme, Basis>; readonly moments: Moments }>();
    let t = performance.now();
    const lap = (what: string): void => {
      if (process.env['LR_TIME'] !== undefined) console.error(what, ((performance.now() - t) / 1000).toFixed(1));
      t = performance.now();
    };
    for (const group of grouped(candidates)) {
      const measured = await probe(run, copy, `${group.length} layers`, (layers) =>
        group.flatMap(({ layers: own }) => own.map((layer) => momentRequest(run, sameLayer(layers, layer)))),
      );
      lap('moments');
      for (const candidate of group) {
        throwIfAborted(context.signal);
        const { layer } = candidate;
        const moments = pool(candidate.layers.map(({ name }) => measured.get(name)!.moments!));
        const data = layer.weight.data();
        const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
        const own = new Map<Scheme, Basis>();
        for (const scheme of allowedSchemes(candidate, settings)) {
          const most = breakEvenRank(layer.geometry, scheme);
          if (most < 1) continue;
          const weight = toMatrix(data, layer.geometry, scheme, outputMajor);
          const { rowsPerNeuron } = matrixShape(layer.geometry, scheme);
          const ordered = orderMoments(moments, layer.geometry, scheme);
          own.set(scheme, await basisOf({ weight, rowsPerNeuron, moments: ordered, most, linalg, signal: context.signal }));
        }
        bases.set(candidate, { bases: own, moments });
      }
      lap('bases');
    }
    const model = readModel(modelBytes(copy));
    inlineFunctions(model);
    const dims = [1, ...images.dims.slice(1)];
    const inputShapes = { [images.input]: dims };
    runPasses(model, [constantsToInitializers, raiseOpset(opset)], { shapes: { inputShapes } });
    const own = inferShapes(model, { inputShapes });
    const layers = factorizable(model, own);
    const requests = candidates.flatMap((candidate) =>
      candidate.layers.map((layer): ProjectedLayer & { readonly candidate: Candidate } => {
        const { bases: known, moments } = bases.get(candidate)!;
        const same = sameLayer(layers, layer);
        const hasBias = context.biasCorrection && candidate.layers.length === 1 && hasBiasPlace(context.model, layer);
        return {
          candidate,
          layer: same,
          mean: hasBias ? meanOf(same, moments) : undefined,
          pairs: [...known].map(([scheme, { left, right }]) => ({
            layer: same,
            scheme,
            pair: { left, right },
            means: hasBias ? meansOf(same, scheme, { left, right }, moments) : undefined,
          })),
        };
      }),
    );
    const graph = emitProjections(model, own, requests);
    lap('emit');
    const session = await context.driver.createSession(modelBytes(model), context.session);
    lap('session');
    const curves = new Map<Candidate, Map<Scheme, { losses: Float64Array; moves: Float64Array[] }>>();
    for (const candidate of candidates) {
      const known = bases.get(candidate)!.bases;
      curves.set(candidate, new Map([...known].map(([scheme, { losses }]) => [scheme, { losses, moves: [] }])));
    }
    try {
      let done = 0;
      for await (const feeds of singles(images.batches(), images.input, context.gradientImages)) {
        throwIfAborted(context.signal);
        const drawn = graph.draws.map(({ name, dims: shape }) => [name, signs(name, shape, context.seed, done)] as const);
        const outputs = await session.run({ ...feeds, ...Object.fromEntries(drawn) }, undefined, {
          signal: context.signal,
        });
        requests.forEach(({ candidate, pairs }, index) => {
          const { total, parts } = graph.layers[index]!;
          if (total === '') return;
          const whole = (outputs[total]!.data as Float32Array)[0]!;
          pairs.forEach(({ scheme }, at) => {
            const part = outputs[parts[at]!]!.data as Float32Array;
            const { moves } = curves.get(candidate)!.get(scheme)!;
            const line = (moves[done] ??= new Float64Array(part.length + 1));
            let left = whole;
            line[0]! += left;
            for (let rank = 1; rank <= part.length; rank++) {
              left -= part[rank - 1]!;
              line[rank]! += left;
            }
          });
        });
        done++;
        context.onImages?.(done, context.gradientImages, 'sensitivities');
      }
      lap('gradients');
    } finally {
      await session.close();
    }
    return new Map(
      [...curves].map(([candidate, bySchemes]) => [
        candidate,
        new Map(
          [...bySchemes].map(([scheme, { losses, moves }]) => {
            const changes = new Float64Array(losses.length);
            for (const line of moves) line.forEach((move, rank) => (changes[rank]! += (move * move) / 2 / moves.length));
            return [scheme, { losses, changes, moves }] as const;
          }),
        ),
      ]),
    );
  } finally {
    await images.close();
  }
}

/** W·E[x], as the layer gives it. */
function meanOf(layer: FactorizableLike, { mean }: Moments): Float32Array {
  const { geometry, form, node, weight } = layer;
  const scheme = form === 'conv' ? 'channel' : 'dense';
  const { data, rows, cols } = toMatrix(weight.data(), geometry, scheme, isOutputMajor(form, node.int('transB', 0)));
  const alpha = form === 'gemm' ? node.float('alpha', 1) : 1;
  const result = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let col = 0; col < cols; col++) sum += data[row * cols + col]! * mean[col]!;
    result[row] = alpha * sum;
  }
  return result;
}

type FactorizableLike = ProjectedLayer['layer'];

/** out × rank: what component k of a pair gives in the mean. */
function meansOf(layer: FactorizableLike, scheme: Scheme, { left, right }: Basis | { left: Basis['left']; right: Basis['right'] }, moments: Moments): Float32Array {
  const { geometry, form, node } = layer;
  const { rowsPerNeuron } = matrixShape(geometry, scheme);
  const { mean } = orderMoments(moments, geometry, scheme);
  const rank = left.cols;
  const width = right.cols;
  const alpha = form === 'gemm' ? node.float('alpha', 1) : 1;
  const seen = new Float64Array(rowsPerNeuron * rank);
  for (let y = 0; y < rowsPerNeuron; y++) {
    for (let k = 0; k < rank; k++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += right.data[k * width + i]! * mean[y * width + i]!;
      seen[y * rank + k] = alpha * sum;
    }
  }
  const result = new Float32Array(geometry.out * rank);
  for (let row = 0; row < left.rows; row++) {
    const neuron = Math.floor(row / rowsPerNeuron);
    const y = row % rowsPerNeuron;
    for (let k = 0; k < rank; k++) result[neuron * rank + k]! += left.data[row * rank + k]! * seen[y * rank + k]!;
  }
  return result;
}

function signs(name: string, dims: readonly number[], seed: number, index: number): RuntimeTensor {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const words = new Int32Array(count);
  fillWords(randomStream(seed, name), words, index * count);
  return { type: 'float32', dims, data: Float32Array.from(words, (word) => (word < 0 ? -1 : 1)) };
}

/** The images one by one, at most so many. */
async function* singles(
  batches: AsyncIterable<CalibrationBatch>,
  input: string,
  most: number,
): AsyncGenerator<Record<string, RuntimeTensor>> {
  let done = 0;
  for await (const { feeds, size } of batches) {
    const { type, dims, data } = feeds[input]!;
    const elements = data.length / size;
    for (let image = 0; image < size; image++) {
      if (done++ >= most) return;
      const own = (data as Float32Array).subarray(image * elements, (image + 1) * elements);
      yield { [input]: { type, dims: [1, ...dims.slice(1)], data: own } };
    }
  }
}

function grouped(candidates: readonly Candidate[]): readonly (readonly Candidate[])[] {
  const groups: Candidate[][] = [];
  let bytes = Infinity;
  for (const candidate of candidates) {
    const own = 12 * patchSize(candidate) ** 2 * candidate.layers.length;
    bytes += own;
    if (bytes > groupBytes) {
      groups.push([]);
      bytes = own;
    }
    groups.at(-1)!.push(candidate);
  }
  return groups;
}
