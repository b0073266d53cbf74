import { existsSync, readFileSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countMacs, countParameters } from '../../src/rewrite/count.js';
import { readPairs } from '../../src/rewrite/pairs.js';
import { checkModel } from '../../src/graph/check.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { inferShapes } from '../../src/ops/infer.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { run, temporaryFolder } from '../support/command.js';
import { hasShared, modelPath } from '../support/shared.js';

const folder = temporaryFolder();

function convert(model: string, ...options: string[]): { report: ConvertReport; path: string } {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.onnx`);
  const outcome = run('convert', modelPath(model), '-o', path, '--json', '--quiet', ...options);
  expect(outcome.stderr).toBe('');
  expect(outcome.code).toBe(0);
  return { report: JSON.parse(outcome.stdout) as ConvertReport, path };
}

/** Node and initializer entries of a graph, by name, as bytes. */
function entryBytes(model: Model): Map<string, string> {
  const entries = new Map<string, string>();
  const hash = (
    chunks: readonly (
      Uint8Array | { source: { read(a: number, b: number): Uint8Array }; start: number; end: number }
    )[],
  ): string => {
    const digest = createHash('sha256');
    for (const chunk of chunks)
      digest.update(chunk instanceof Uint8Array ? chunk : chunk.source.read(chunk.start, chunk.end));
    return digest.digest('hex');
  };
  for (const node of model.graph.nodes)
    entries.set(`node ${node.outputs.map((value) => value?.name).join()}`, hash(node.encode()));
  for (const value of model.graph.initializers) entries.set(`initializer ${value.name}`, hash(value.tensor!.encode()));
  return entries;
}

/** Small enough to convert in a second or two each. */
const quick = [
  'cifar10-resnet20-pt1.6-op9-bn.onnx',
  'cifar10-resnet20-pt1.5-op7-initinputs.onnx',
  'cifar10-resnet8-pt1.12-op13.onnx',
  'cifar10-marabou-medium-tf2onnx1.8-op9-nhwc.onnx',
  'cifar10-vit-pgd-pt2.0-op9.onnx',
  'cifar10-tinycnn-op18.onnx',
  'ppocr-cls-mobilenetv3-paddle-op10.onnx',
  'st-efficientnet-lc-flowers5.onnx',
  'st-resnetv1-8-cifar10.onnx',
  'mnist-mlp-pt2.3-op17.onnx',
  'exports/torchscript-bn/fresh.onnx',
];

describe.skipIf(!hasShared)('converting real models', () => {
  it.each(quick)('%s: every number of the report is true, and nothing else changed', (name) => {
    const { report, path } = convert(name, '--init', 'spectral', '--rank-scale', '0.25');
    const before = readModel(modelPath(name));
    const after = readModel(path);
    checkModel(after);
    const counts = (model: Model) => ({
      params: countParameters(model.graph),
      macs: countMacs(model.graph, inferShapes(model)),
    });
    expect(report.totals.params).toMatchObject({ before: counts(before).params, after: counts(after).params });
    expect(report.totals.macs).toMatchObject({ before: counts(before).macs, after: counts(after).macs });
    expect(report.totals.params.ratio).toBeLessThanOrEqual(1);
    expect(report.totals.macs.ratio).toBeLessThanOrEqual(1);
    const bytes = readFileSync(path);
    expect(report.output).toMatchObject({
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });

    const factorized = report.layers.filter(({ action }) => action === 'factorized');
    expect(factorized.length).toBeGreaterThan(0);
    expect(readPairs(after).map((pair) => pair.name)).toEqual(factorized.map((layer) => layer.name));
    let saved = 0;
    for (const layer of report.layers) {
      expect(layer.reason).not.toBe('');
      if (layer.action === 'kept') {
        expect(layer.params.after).toBe(layer.params.before);
        continue;
      }
      // Never bigger.
      expect(layer.params.after).toBeLessThan(layer.params.before);
      expect(layer.macs.after).toBeLessThan(layer.macs.before);
      expect(layer.rank).toBeLessThanOrEqual(layer.breakEvenRank);
      saved += layer.params.before - layer.params.after;
    }
    expect(report.totals.params.before - report.totals.params.after).toBe(saved);

    // All other nodes and weights are the same bytes.
    const pairNodes = new Set(readPairs(after).flatMap((pair) => pair.nodes));
    const newNames = new Set(readPairs(after).flatMap(({ factors }) => factors));
    const old = entryBytes(before);
    const now = entryBytes(after);
    for (const node of after.graph.nodes) {
      if (pairNodes.has(node.name) || node.name.endsWith('.transpose')) continue;
      const key = `node ${node.outputs.map((value) => value?.name).join()}`;
      expect(now.get(key), key).toBe(old.get(key));
    }
    for (const value of after.graph.initializers) {
      if (newNames.has(value.name)) continue;
      expect(now.get(`initializer ${value.name}`), value.name).toBe(old.get(`initializer ${value.name}`));
    }
    expect([...after.opsets]).toEqual([...before.opsets]);
    expect(after.irVersion).toBe(before.irVersion);
    before.file?.close();
    after.file?.close();
  });

  // Rounding in other orders of summation, through the whole network: 1e-5 is the promise for float32.
  it.each(quick)('%s: at full rank the logits are reproduced', (name) => {
    for (const scheme of ['spatial', 'channel']) {
      const { report } = convert(
        name,
        '--init',
        'spectral',
        '--rank-scale',
        '1',
        '--allow-bigger',
        '--no-keep-first',
        '--no-keep-last',
        '--scheme',
        scheme,
      );
      expect(report.verify?.relativeDiff).toBeLessThanOrEqual(1e-5);
      expect(report.layers.some(({ rank, maxRank }) => rank === maxRank)).toBe(true);
    }
  });

  const model = 'cifar10-resnet20-pt1.6-op9-bn.onnx';

  it.each([
    ['params', '--params-budget', 0.6],
    ['macs', '--macs-budget', 0.6],
  ] as const)('%s budget is kept', (which, flag, budget) => {
    const { report } = convert(model, flag, String(budget), '--init', 'spectral');
    expect(report.totals[which].ratio).toBeLessThanOrEqual(budget);
    // Used well: within one rank of one layer.
    expect(report.totals[which].ratio).toBeGreaterThan(budget - 0.02);
    const ranks = new Set(
      report.layers.filter(({ rank }) => rank !== null).map(({ rank, maxRank }) => rank! / maxRank),
    );
    expect(ranks.size).toBeGreaterThan(3);
  });

  it('a latency budget measures, and refuses slower pairs', () => {
    const { report } = convert(model, '--latency-budget', '0.95', '--init', 'spectral');
    expect(report.totals.latencyMs?.before).toBeGreaterThan(0);
  });

  it('energy holds what it says', () => {
    const { report } = convert(model, '--energy', '0.6', '--init', 'spectral', '--scheme', 'channel');
    const errors = report.layers
      .filter(({ weightError }) => weightError !== null)
      .map(({ weightError }) => weightError!);
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error ** 2).toBeLessThanOrEqual(0.4 + 1e-6);
  });

  it('lfai ≤ spectral-scaled ≤ spectral in function error, per layer', () => {
    const [lfai, scaled, spectral] = ['lfai', 'spectral-scaled', 'spectral'].map(
      (init) => convert(model, '--init', init, '--scheme', 'spatial').report.layers,
    );
    lfai!.forEach((layer, index) => {
      if (layer.functionError === null) return;
      // float32 factors: the errors are known to about 1e-6.
      expect(layer.functionError).toBeLessThanOrEqual(scaled![index]!.functionError! * (1 + 1e-6));
      expect(scaled![index]!.functionError!).toBeLessThanOrEqual(spectral![index]!.functionError! * (1 + 1e-6));
    });
  });

  it('the same seed gives the same bytes, another seed other weights with --reinit', () => {
    const hashes = [
      ['--seed', '3'],
      ['--seed', '3'],
      ['--seed', '4'],
    ].map((seed) => convert(model, '--reinit', '--init', 'spectral', ...seed).report.output.sha256);
    expect(hashes[0]).toBe(hashes[1]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });

  it('external data comes into the model, or stays external beside it', () => {
    const input = 'reid-seresnet-pt2.11-op18/best_model.onnx';
    const one = convert(input, '--init', 'spectral');
    expect(existsSync(`${one.path}.data`)).toBe(false);
    expect(one.report.output.bytes).toBe(statSync(one.path).size);
    const { report, path } = convert(input, '--init', 'spectral', '--external-data');
    expect(existsSync(`${path}.data`)).toBe(true);
    expect(report.output.bytes).toBe(statSync(path).size + statSync(`${path}.data`).size);
    expect(report.output.data!.path).toBe(`${path}.data`);
  });

  it('a converted model is not converted again', () => {
    const { path } = convert(model, '--init', 'spectral');
    const again = join(folder, 'again.onnx');
    const { stdout, code } = run('convert', path, '-o', again, '--json', '--quiet', '--init', 'spectral');
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as ConvertReport;
    expect(report.layers.filter(({ reason }) => reason.includes('already a factor')).length).toBeGreaterThan(10);
  });

  it('writes a report without scripts', () => {
    const html = join(folder, 'report.html');
    convert(model, '--report', html, '--init', 'spectral');
    const text = readFileSync(html, 'utf8');
    expect(text).toContain('<svg');
    expect(text).not.toMatch(/<script/i);
  });
});
