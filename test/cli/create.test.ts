import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { command } from '../../src/cli/create.js';
import type { ArchitecturesReport, CreateReport } from '../../src/contracts/create.js';
import type { CommandResult } from '../../src/cli/command.js';
import { mergeSettings, resolveSettings } from '../../src/cli/options.js';
import { createProgress } from '../../src/report/progress.js';
import { PLAIN } from '../../src/report/terminal.js';
import { faultOf } from '../support/schemas.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-create-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function run(arch: string | undefined, flags: Readonly<Record<string, unknown>>): Promise<CommandResult> {
  const settings = mergeSettings(command.options, {}, flags);
  return command.run({
    arguments: { arch },
    settings: settings as Parameters<typeof command.run>[0]['settings'],
    resolvedSettings: resolveSettings(settings),
    given: new Set(Object.keys(flags)),
    programName: 'lowrank create',
    commandLine: '',
    signal: new AbortController().signal,
    progress: createProgress({ stream: process.stderr, enabled: false }),
    note: () => {},
    warn: () => {},
    isQuiet: true,
  });
}

describe('lowrank create', () => {
  it('writes a file and says what it wrote', async () => {
    const output = join(folder, 'lenet.onnx');
    const result = await run('lenet5', { output, numClasses: 3, seed: 5 });
    const report = result.document as CreateReport;
    const sha256 = createHash('sha256').update(readFileSync(output)).digest('hex');
    const bytes = statSync(output).size;
    // 61,706 with ten classes; each class is 84 weights and a bias.
    const params = 61_706 - 7 * 85;
    const { schema, arch, seed, numClasses, imageSize, inChannels } = report;
    expect({ schema, arch, seed, numClasses, imageSize, inChannels }).toEqual({
      schema: 'lowrank.create/1',
      arch: 'lenet5',
      seed: 5,
      numClasses: 3,
      imageSize: 28,
      inChannels: 1,
    });
    expect(report).toMatchObject({ path: output, bytes, sha256, params, data: null });
    expect(result.text(PLAIN)).toBe(`lenet5: 61,111 parameters, 246 kB, written to ${output}\n`);
  });

  it('replaces a file only with --force', async () => {
    const output = join(folder, 'again.onnx');
    const first = (await run('lenet5', { output })).document as CreateReport;
    await expect(run('lenet5', { output, seed: 1 })).rejects.toMatchObject({ code: 'OUTPUT' });
    expect(createHash('sha256').update(readFileSync(output)).digest('hex')).toBe(first.sha256);
    const second = (await run('lenet5', { output, seed: 1, force: true })).document as CreateReport;
    expect(second.sha256).not.toBe(first.sha256);
  });

  it('makes a perceptron of the hidden layers that are given, and says them', async () => {
    const output = join(folder, 'mlp.onnx');
    const report = (await run('mlp', { output, hidden: '40, 30' })).document as CreateReport;
    expect(report).toMatchObject({ arch: 'mlp', params: 785 * 40 + 41 * 30 + 31 * 10, hidden: [40, 30] });
    expect(faultOf(report)).toBe(undefined);
    const usual = (await run('mlp', { output, force: true })).document as CreateReport;
    expect(usual.hidden).toEqual([500, 500]);
  });

  it.each(['', '40,', '40,-1', '4.5', 'wide', '40,0', '40,99999999'])(
    '--hidden %j is refused in one line',
    async (hidden) => {
      const message = expect.stringMatching(/^[^\n]*hidden[^\n]*give[^\n]*$/) as string;
      await expect(run('mlp', { output: join(folder, 'never.onnx'), hidden })).rejects.toMatchObject({
        ...{ code: 'USAGE', message },
      });
    },
  );

  it('draws layers as pairs with orthonormal bases, and says which', async () => {
    const output = join(folder, 'pairs.onnx');
    const flags = { orthonormal: true, startRank: 20, keepFirst: false, decay: 0.5 };
    const result = await run('lenet5_caffe', { output, ...flags });
    const report = result.document as CreateReport;
    // 20 · (20 + 25), (50 + 500), (500 + 800); the head of 5,000; 580 biases.
    expect(report).toMatchObject({ params: 42_900 + 580, orthonormal: { decay: 0.5 } });
    expect(report.orthonormal!.layers[2]).toEqual({ name: '/fc1/Gemm', scheme: 'dense', rank: 20 });
    expect(faultOf(report)).toBe(undefined);
    expect(result.text(PLAIN)).toContain('43,480 parameters, 3 layers drawn as pairs, ');
    const again = (await run('lenet5_caffe', { output, ...flags, force: true })).document as CreateReport;
    expect(again.sha256).toBe(report.sha256);
  });

  it.each([
    [{ startRank: 5 }, '--start-rank'],
    [{ keepLast: false }, '--no-keep-last'],
  ])('%o without --orthonormal is refused', async (flags, place) => {
    const output = join(folder, 'never.onnx');
    await expect(run('lenet5', { output, ...flags })).rejects.toMatchObject({ code: 'USAGE', place });
  });

  it('lists the architectures', async () => {
    const result = await run(undefined, { list: true });
    const { architectures } = result.document as ArchitecturesReport;
    expect(architectures.find(({ arch }) => arch === 'efficientnet_b4')).toEqual({
      arch: 'efficientnet_b4',
      params: 19_341_616,
      imageSize: 380,
      inChannels: 3,
      numClasses: 1000,
    });
    expect(result.text(PLAIN)).toMatch(/^resnet50 +25,557,032 +3x224x224 +1,000$/m);
  });

  it.each([
    ['resnet-50', /did you mean 'resnet50'/],
    ['transformer', /no architecture 'transformer'/],
    [undefined, /no architecture is given/],
  ])('%s is wrong usage', async (arch, message) => {
    await expect(run(arch, { output: join(folder, 'never.onnx') })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message) as string,
    });
  });
});
