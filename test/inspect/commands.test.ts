import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CommandDefinition, CommandResult } from '../../src/cli/command.js';
import { command as inspectCommand } from '../../src/cli/inspect.js';
import { command as mergeCommand } from '../../src/cli/merge.js';
import { mergeSettings, resolveSettings } from '../../src/cli/options.js';
import type { InspectReport } from '../../src/contracts/inspect.js';
import type { MergeReport } from '../../src/contracts/merge.js';
import { formatError } from '../../src/report/format.js';
import { createProgress } from '../../src/report/progress.js';
import { PLAIN } from '../../src/report/terminal.js';
import { failureOf } from '../support/errors.js';
import { buildModel } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { modelWriter, temporaryFolder } from './support/files.js';
import { batchNormalization, chain, conv, plain } from './support/layers.js';

const folder = temporaryFolder();
const write = modelWriter(folder);

async function run(
  definition: unknown,
  model: string,
  flags: Readonly<Record<string, unknown>> = {},
): Promise<CommandResult> {
  const command = definition as CommandDefinition;
  const settings = mergeSettings(command.options, {}, flags);
  return command.run({
    arguments: { model },
    settings: settings as Parameters<typeof command.run>[0]['settings'],
    resolvedSettings: resolveSettings(settings),
    given: new Set(Object.keys(flags)),
    programName: `lowrank ${command.name}`,
    commandLine: `lowrank ${command.name} ${model}`,
    signal: new AbortController().signal,
    progress: createProgress({ stream: process.stderr, enabled: false }),
    note: () => {},
    isQuiet: true,
    warn: () => {},
  });
}

const model = chain(
  ['batch', 16, 'side', 'side'],
  [
    conv('small', [16, 8], [1, 1], {}, true),
    plain('Relu'),
    conv('v', [8, 4], [1, 3]),
    conv('u', [4, 40], [3, 1]),
    batchNormalization('bn', 40),
    plain('Relu'),
    conv('large', [40, 40], [3, 3], {}, true),
  ],
);

describe('lowrank inspect', () => {
  it('prints a table, in the order asked for', async () => {
    const path = write(model);
    const names = async (flags: Readonly<Record<string, unknown>>): Promise<string[]> => {
      const result = await run(inspectCommand, path, flags);
      const { layers } = result.document as InspectReport;
      const lines = result.text(PLAIN).split('\n');
      // The rows of the table are in the order of the document.
      const at = layers.map(({ name }) => lines.findIndex((line) => line.includes(` ${name} `)));
      expect(at).toEqual(at.toSorted((a, b) => a - b));
      expect(at[0]).toBeGreaterThan(0);
      return layers.map(({ name }) => name);
    };
    expect(await names({})).toEqual(['small', 'v + u', 'large']);
    expect(await names({ sort: 'params', spectrum: false })).toEqual(['large', 'v + u', 'small']);
    expect(await names({ sort: 'name', spectrum: false })).toEqual(['large', 'small', 'v + u']);
    expect(await names({ sort: 'stable-rank' })).toEqual(['large', 'small', 'v + u']);
  });

  it('shows what the outputs feel where a layer is halved, where it is asked to', async () => {
    const path = join(folder, 'tiny.onnx');
    writeFileSync(path, tinyClassifier());
    const flags = { sensitivity: true, calibrateImages: 32, threads: 1, spectrum: false };
    const result = await run(inspectCommand, path, flags);
    const { layers, sensitivity, warnings } = result.document as InspectReport;
    expect(warnings).toEqual([]);
    expect(sensitivity).toMatchObject({ by: 'gradients', unit: 'kl', images: 32 });
    expect(layers).toHaveLength(6);
    const lines = result.text(PLAIN).split('\n');
    for (const { name, halved, macs, sensitivity: own, in: inputs, out, kernel } of layers) {
      const { scheme, rank, change, loss } = halved!;
      const point = own!.curve.find((each) => each.scheme === scheme)!;
      const perRank = point.macs / point.rank;
      expect(rank * perRank, name).toBeLessThanOrEqual(macs.after / 2);
      // The next rank would be more than half, or is none.
      const [kh = 1, kw = 1] = kernel;
      const full = scheme === 'spatial' ? Math.min(out * kh, inputs * kw) : Math.min(out, inputs * kh * kw);
      if (rank < full) expect((rank + 1) * perRank, name).toBeGreaterThan(macs.after / 2);
      expect(change).toBeGreaterThan(0);
      expect(loss).toBeGreaterThan(0);
      expect(loss).toBeLessThan(1);
      expect(lines.some((line) => line.includes(` ${name} `) && line.includes(formatError(change)))).toBe(true);
    }
    expect(lines.some((line) => line.startsWith('halved') && line.includes('KL divergence'))).toBe(true);
    const plainly = (await run(inspectCommand, path, { spectrum: false })).document as InspectReport;
    expect(plainly.sensitivity).toBeUndefined();
    expect(plainly.layers.every((layer) => !('halved' in layer) && layer.sensitivity === undefined)).toBe(true);
  });

  it('cannot tell what the outputs feel of what is no picture', async () => {
    const path = join(folder, 'vectors.onnx');
    const node = { op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'], name: 'y' };
    const [x, y] = ['x', 'y'].map((name) => ({ name, dims: ['n', 20] }));
    const w = { name: 'w', dims: [20, 20], data: new Float32Array(400).fill(1) };
    writeFileSync(path, buildModel({ inputs: [x!], outputs: [y!], nodes: [node], initializers: [w] }));
    const failure = await failureOf('UNSUPPORTED', () => run(inspectCommand, path, { sensitivity: true }));
    expect(failure.fact).toMatch(/no batch of images/);
  });

  it('says why a layer stays full only of layers that could not be otherwise', async () => {
    const text = async (path: string): Promise<string> =>
      (await run(inspectCommand, path, { spectrum: false })).text(PLAIN);
    expect(await text(write(model))).not.toMatch(/stays full because|full rank/);
    const mixed = chain([1, 16, 8, 8], [conv('free', [16, 8], [3, 3]), conv('grouped', [8, 8], [3, 3], { group: 8 })]);
    const lines = (await text(write(mixed))).split('\n');
    expect(lines.find((line) => line.includes('layer'))).toMatch(/ stays full because$/);
    expect(lines.find((line) => line.includes(' grouped '))).toMatch(/ depthwise convolution$/);
    expect(lines.find((line) => line.includes(' free '))).not.toContain('full rank');
  });

  it('counts for the input shape that is given', async () => {
    const path = write(model);
    const macs = async (inputShape: readonly string[]): Promise<number> =>
      ((await run(inspectCommand, path, { spectrum: false, inputShape })).document as InspectReport).totals.macs;
    expect(await macs(['x=1,16,32,32'])).toBe(4 * (await macs(['x=1,16,16,16'])));
    await failureOf('USAGE', () => run(inspectCommand, path, { inputShape: ['16,16'] }));
  });

  it('writes an HTML report, over an old one only with --force', async () => {
    const path = write(model);
    const report = join(folder, 'report.html');
    await run(inspectCommand, path, { report });
    const html = readFileSync(report, 'utf8');
    expect(html).toMatch(/^<!doctype html>/i);
    expect(html).toContain('v + u');
    await failureOf('OUTPUT', () => run(inspectCommand, path, { report }));
    await run(inspectCommand, path, { report, force: true });
  });
});

describe('lowrank merge', () => {
  const inputShape = ['x=1,16,24,24'];

  it('writes beside the model where nothing is said, and says what it did', async () => {
    const path = write(model);
    const result = await run(mergeCommand, path, { inputShape });
    const document = result.document as MergeReport;
    expect(document).toMatchObject({
      schema: 'lowrank.merge/1',
      command: `lowrank merge ${path}`,
      merged: [],
      kept: [{ name: 'v + u' }],
      foldedBatchNormalizations: 1,
      output: { path: path.replace('.onnx', '.merged.onnx') },
    });
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    const text = result.text(PLAIN);
    expect(text).toMatch(/pairs +0 merged, 1 kept/);
    expect(text).toMatch(/kept +v \+ u: rank 4: the pair has 0\.\d\d× the MACs of one layer/);
    expect(text).toMatch(/BatchNormalization +1 folded/);
    expect(text).toMatch(/same outputs: largest difference/);
    expect(existsSync(document.output.path)).toBe(true);
  });

  it('--all, --no-fold-batch-normalization, --no-verify', async () => {
    const path = write(model);
    const output = join(folder, 'all.onnx');
    const flags = { all: true, foldBatchNormalization: false, verify: false, output };
    const result = await run(mergeCommand, path, flags);
    expect(result.document).toMatchObject({ merged: [{ name: 'v + u' }], foldedBatchNormalizations: 0, verify: null });
    expect(result.text(PLAIN)).toMatch(/BatchNormalization +left as it is/);
  });

  it('a model does not take the place of its input, with or without --force', async () => {
    const path = write(model);
    const before = readFileSync(path);
    for (const force of [true, false]) {
      await failureOf('USAGE', () => run(mergeCommand, path, { all: true, output: path, force, inputShape }));
    }
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});
