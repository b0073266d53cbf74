import type { ComparedAccuracy, ComparedFit, ComparedLayer, CompareReport } from '../../../src/contracts/compare.js';
import { wilsonInterval } from '../../../src/statistics.js';
import { resnet50 } from './resnet50-report.js';

interface CompareFixture {
  readonly repeat?: number;
  readonly rename?: (name: string, index: number) => string;
  readonly rankScale?: number;
  /** Whether there are labelled images, and calibration images. */
  readonly hasImages?: boolean;
  /** Whether one initialization could not be fitted. */
  readonly hasFailure?: boolean;
}

/** What each loses in units of the first one's error. */
const LOSSES: Readonly<Record<string, number>> = {
  spectral: 1,
  'spectral-scaled': 0.995,
  lfai: 0.99,
  'relu-svd': 0.995,
  baseline: 2.4,
  whitened: 1.2,
};

/** A comparison of five initializations on the layers of ResNet-50, of six with images. */
export function compareReport(options: CompareFixture = {}): CompareReport {
  const { hasImages = true, hasFailure = false, ...others } = options;
  const { report } = resnet50(others);
  const names = Object.keys(LOSSES).filter((name) => hasImages || name !== 'whitened');
  const failed = (name: string): boolean => hasFailure && name === 'relu-svd';
  const layers = report.layers.map(({ init: _init, seconds: _seconds, ...layer }, index): ComparedLayer => {
    const { weightError, functionError, ...rest } = layer;
    if (weightError === null || functionError === null) return { ...rest, fits: {}, theorem: null };
    const wave = 1 + 0.4 * Math.sin(index);
    const fits = names
      .filter((name) => !failed(name))
      .map((name): [string, ComparedFit] => {
        const loss = 1 + (LOSSES[name]! - 1) * wave;
        return [
          name,
          {
            weightError: weightError * (2 - 1 / loss),
            functionError: functionError * loss,
            ...(hasImages
              ? {
                  dataError: name === 'whitened' ? weightError / 3 : weightError / 2,
                  dataFunctionError: name === 'whitened' ? functionError / 3 : functionError / 2,
                }
              : {}),
            seconds: 0.01 * index,
          },
        ];
      });
    const scale = 0.02;
    const gap = scale * functionError ** 2 * 0.02 * wave;
    const isRelu = index % 9 !== 4;
    const reason = isRelu ? null : 'no activation: the truncated SVD is the optimum';
    const theorem = { dimension: 576, bound: isRelu ? 0.9 * gap : null, reason, gap: isRelu ? gap : 0, scale };
    return { ...rest, fits: Object.fromEntries(fits), theorem };
  });
  const n = 600;
  const accuracy = (right: number): ComparedAccuracy => ({
    top1: right / n,
    ci95: wilsonInterval(right, n),
    top5: Math.min(1, (right + 80) / n),
    loss: 1.2,
  });
  const mean = (name: string, key: 'weightError' | 'functionError' | 'dataError' | 'dataFunctionError'): number => {
    const values = layers.flatMap(({ fits }) => (typeof fits[name]?.[key] === 'number' ? [fits[name][key]] : []));
    return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return {
    schema: 'lowrank.compare/1',
    tool: report.tool,
    command: 'lowrank compare models/resnet50.onnx --val photos',
    seed: 0,
    model: report.model,
    settings: { inits: names, rankScale: options.rankScale ?? 0.25, scheme: 'auto', val: hasImages ? 'photos' : null },
    engine: report.engine,
    // oxlint-disable-next-line oxc/no-map-spread -- what there are no images for is left out
    inits: names.map((name, index) => ({
      name,
      summary: `how ${name} fits the pair, in one line`,
      failure: failed(name) ? "weight element 3 is wrong; layer 'conv'" : null,
      weightError: failed(name) ? null : mean(name, 'weightError'),
      functionError: failed(name) ? null : mean(name, 'functionError'),
      ...(hasImages
        ? {
            dataError: failed(name) ? null : mean(name, 'dataError'),
            dataFunctionError: failed(name) ? null : mean(name, 'dataFunctionError'),
          }
        : {}),
      lowestIn: name === 'lfai' ? layers.filter(({ theorem }) => theorem !== null).length : 0,
      seconds: 1.5 * index,
      accuracy: hasImages && !failed(name) ? accuracy(index === 4 ? 60 : 240 + 12 * index) : null,
      versusFirst:
        hasImages && index > 0 && !failed(name)
          ? {
              difference: 0.02 * index,
              ci95: [0.02 * index - 0.03, 0.02 * index + 0.03],
              discordant: { onlyFirst: 30 + 12 * index, onlySecond: 30 },
              pValue: index > 2 ? 0.0004 : 0.21,
            }
          : null,
    })),
    leftOut: [{ name: 'lfai-adam', reason: 'it draws samples, which takes minutes: name it in --inits' }],
    layers,
    totals: { params: report.totals.params, macs: report.totals.macs },
    ...(hasImages
      ? {
          calibration: {
            data: 'photos/train',
            images: 256,
            imageSize: 224,
            normalization: { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] },
            normalizationName: 'symmetric',
            normalizationFrom: 'option' as const,
            badImages: 0,
            layers: layers.filter(({ theorem }) => theorem !== null).length,
            seconds: 12.5,
          },
        }
      : {}),
    validation: hasImages
      ? {
          data: { path: 'photos/val', images: n, classes: 10 },
          n,
          original: accuracy(540),
          badImages: { count: 0, names: [] },
        }
      : null,
    warnings: [],
    seconds: { prepare: 1.2, fit: 30.1, evaluate: 60.4, total: 92 },
  };
}
