import type { ConvertReport, LayerReport, Scheme } from '../../../src/contracts/convert.js';
import type { InspectReport } from '../../../src/contracts/inspect.js';

/** Input data for the report writers: the layers of ResNet-50 at 224 px with made-up, smooth spectra. */

interface Shape {
  readonly name: string;
  readonly op: 'Conv' | 'Gemm';
  readonly kernel: readonly [number, number];
  readonly in: number;
  readonly out: number;
  /** Output height and width. */
  readonly size: number;
}

export interface FixtureSpectrum {
  readonly singularValues: readonly number[];
  readonly rank: number;
}

function shapes(): Shape[] {
  const list: Shape[] = [{ name: 'conv1', op: 'Conv', kernel: [7, 7], in: 3, out: 64, size: 112 }];
  let input = 64;
  for (const [stage, [blocks, width, size]] of [
    [3, 64, 56],
    [4, 128, 28],
    [6, 256, 14],
    [3, 512, 7],
  ].entries() as IterableIterator<[number, [number, number, number]]>) {
    for (let block = 0; block < blocks; block++) {
      const prefix = `layer${stage + 1}.${block}`;
      const first = block === 0 && stage > 0 ? size * 2 : size;
      list.push({ name: `${prefix}.conv1`, op: 'Conv', kernel: [1, 1], in: input, out: width, size: first });
      list.push({ name: `${prefix}.conv2`, op: 'Conv', kernel: [3, 3], in: width, out: width, size });
      list.push({ name: `${prefix}.conv3`, op: 'Conv', kernel: [1, 1], in: width, out: width * 4, size });
      if (block === 0) {
        list.push({ name: `${prefix}.downsample.0`, op: 'Conv', kernel: [1, 1], in: input, out: width * 4, size });
      }
      input = width * 4;
    }
  }
  list.push({ name: 'fc', op: 'Gemm', kernel: [1, 1], in: 2048, out: 1000, size: 1 });
  return list;
}

function tail(values: readonly number[], from: number): number {
  return values.slice(from).reduce((sum, value) => sum + value * value, 0);
}

function layerOf(shape: Shape, index: number, rankScale: number): { layer: LayerReport; spectrum: FixtureSpectrum } {
  const [kh, kw] = shape.kernel;
  const is1x1 = kh * kw === 1;
  const scheme: Scheme = shape.op === 'Gemm' ? 'dense' : is1x1 ? 'channel' : 'spatial';
  const rows = scheme === 'spatial' ? shape.out * kh : shape.out;
  const cols = scheme === 'spatial' ? shape.in * kw : shape.in * kh * kw;
  const maxRank = Math.min(rows, cols);
  const rank = Math.max(1, Math.round(rankScale * maxRank));
  const weights = shape.in * shape.out * kh * kw;
  const area = shape.size * shape.size;
  const breakEvenRank = Math.floor((weights - 1) / (rows + cols));
  const isKept = index === 0 || shape.op === 'Gemm' || rank > breakEvenRank;
  const exponent = 0.35 + 0.25 * Math.sin(index * 1.7) ** 2;
  const all = Array.from({ length: maxRank }, (_, i) => (i + 1) ** -exponent * Math.exp(-i / (maxRank * 0.9)));
  const weightError = Math.sqrt(tail(all, rank) / tail(all, 0));
  const reason =
    index === 0
      ? 'first layer'
      : shape.op === 'Gemm'
        ? 'last layer'
        : `rank ${rank} saves nothing: break-even rank is ${breakEvenRank}`;
  const bias = shape.op === 'Gemm' ? shape.out : 0;
  const pair = rank * (rows + cols);
  const layer: LayerReport = {
    name: shape.name,
    op: shape.op,
    kernel: shape.kernel,
    group: 1,
    in: shape.in,
    out: shape.out,
    action: isKept ? 'kept' : 'factorized',
    reason: isKept ? reason : `rank-scale ${rankScale}`,
    scheme: isKept ? null : scheme,
    rank: isKept ? null : rank,
    maxRank,
    breakEvenRank,
    init: isKept ? null : 'lfai',
    activation: shape.name.endsWith('conv3') || shape.op === 'Gemm' ? 'linear' : 'Relu',
    weightError: isKept ? null : weightError,
    functionError: isKept ? null : weightError * (0.72 + 0.3 * Math.cos(index * 2.3) ** 2),
    params: { before: weights + bias, after: (isKept ? weights : pair) + bias },
    macs: { before: weights * area, after: (isKept ? weights : pair) * area },
    seconds: isKept ? 0 : weights / 2e6,
  };
  return { layer, spectrum: { singularValues: all.slice(0, 512), rank } };
}

function ratio(before: number, after: number): { before: number; after: number; ratio: number } {
  return { before, after, ratio: after / before };
}

export interface Fixture {
  readonly report: ConvertReport;
  /** Of the factorized layers. */
  readonly spectra: Readonly<Record<string, FixtureSpectrum>>;
  readonly allSpectra: Readonly<Record<string, FixtureSpectrum>>;
}

/** `repeat` strings the layers together that many times; `rename` gives them other names. */
export function resnet50(
  options: { rankScale?: number; repeat?: number; rename?: (name: string, index: number) => string } = {},
): Fixture {
  const { rankScale = 0.25, repeat = 1, rename = (name: string): string => name } = options;
  const entries = Array.from({ length: repeat })
    .flatMap(shapes)
    .map((shape, index) => layerOf({ ...shape, name: rename(shape.name, index) }, index, rankScale));
  const layers = entries.map(({ layer }) => layer);
  const sum = (key: 'params' | 'macs', when: 'before' | 'after'): number =>
    layers.reduce((total, layer) => total + layer[key][when], 0);
  return {
    report: {
      schema: 'lowrank.convert/1',
      tool: { name: 'lowrank', version: '0.1.0' },
      seed: 0,
      model: {
        path: 'models/resnet50.onnx',
        sha256: '5f0c8a1d'.repeat(8),
        producer: 'pytorch 2.9.1',
        irVersion: 10,
        opset: 18,
        inputShape: [1, 3, 224, 224],
      },
      settings: {
        rankScale,
        scheme: 'auto',
        init: 'lfai',
        include: [],
        exclude: [],
        ranks: null,
        verify: true,
        seed: 0,
      },
      engine: { name: 'ort', package: 'onnxruntime-node', version: '1.30.0', backend: 'cpu', device: 'cpu' },
      layers,
      totals: {
        params: ratio(sum('params', 'before') + 53_120, sum('params', 'after') + 53_120),
        macs: ratio(sum('macs', 'before'), sum('macs', 'after')),
        latencyMs: ratio(21.4, 13.9),
      },
      verify: { reloaded: true, maxAbsDiff: 3.41, relativeDiff: 0.372, samples: 4 },
      output: { path: 'out/resnet50.lowrank.onnx', bytes: 44_861_733, sha256: '09ab34ef'.repeat(8) },
      warnings: ['fine-tune before use: the outputs differ by 37.2 %'],
      seconds: { read: 0.41, factorize: 38.2, write: 0.32, verify: 1.9, total: 41.1 },
    },
    allSpectra: Object.fromEntries(entries.map(({ layer, spectrum }) => [layer.name, spectrum])),
    spectra: Object.fromEntries(
      entries.filter(({ layer }) => layer.rank !== null).map(({ layer, spectrum }) => [layer.name, spectrum]),
    ),
  };
}

/** The same layers as `lowrank inspect` sees them: every fourth one is a pair. */
export function resnet50Inspected(): InspectReport {
  const { report, allSpectra } = resnet50();
  const layers = report.layers.map((layer, index) => {
    const values = allSpectra[layer.name]?.singularValues ?? [];
    const total = tail(values, 0);
    const rankOf = (energy: number): number =>
      values.findIndex((_, position) => total - tail(values, position + 1) >= energy * total) + 1;
    const isPair = index % 4 === 3 && layer.rank !== null;
    return {
      ...layer,
      action: isPair ? ('factorized' as const) : ('kept' as const),
      rank: isPair ? layer.rank : null,
      params: { before: layer.params.before, after: isPair ? layer.params.after : layer.params.before },
      macs: { before: layer.macs.before, after: isPair ? layer.macs.after : layer.macs.before },
      spectrum: {
        singularValues: values,
        stableRank: total / (values[0] ?? 1) ** 2,
        energy90Rank: rankOf(0.9),
        energy99Rank: rankOf(0.99),
      },
      pair: isPair ? { recognizedBy: 'metadata' as const, nodes: [`${layer.name}.v`, `${layer.name}.u`] } : null,
    };
  });
  return {
    schema: 'lowrank.inspect/1',
    tool: report.tool,
    model: report.model,
    layers,
    totals: {
      params: layers.reduce((sum, { params }) => sum + params.after, 0),
      macs: layers.reduce((sum, { macs }) => sum + macs.after, 0),
      pairs: layers.filter(({ pair }) => pair !== null).length,
    },
    warnings: [],
  };
}
