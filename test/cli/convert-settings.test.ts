import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { convertReport, lowrank, run, temporaryFolder } from '../support/command.js';

const folder = temporaryFolder();
const model = join(folder, 'lenet.onnx');

beforeAll(() => {
  expect(run('create', 'lenet5', '-o', model).code, lowrank).toBe(0);
});

function settingsOf(...options: readonly string[]): ConvertReport['settings'] {
  const report = convertReport(model, '-o', join(folder, 'out.onnx'), '--force', ...options);
  return report.settings;
}

describe('settings in the report of a conversion', () => {
  it('are those in force, defaults included', () => {
    expect(settingsOf()).toMatchObject({
      rankScale: null,
      rankBase: null,
      // Half would leave less than a third of what may be factorized: the first layer stays.
      macsBudget: expect.closeTo(0.5229, 4) as number,
      keep: null,
      calibrate: 'synthetic',
      calibrateImages: 256,
      init: 'whitened',
      biasCorrection: true,
      balance: 'weight',
    });
    expect(settingsOf('--balance', 'activation')).toMatchObject({ balance: 'activation' });
  });

  it('are other ones without images', () => {
    expect(settingsOf('--calibrate', 'none')).toMatchObject({
      calibrate: 'none',
      calibrateImages: null,
      rankScale: 0.25,
      rankBase: 'min',
      macsBudget: null,
      ranks: null,
      energy: null,
      paramsBudget: null,
      init: 'lfai',
      latency: false,
      threads: null,
      inputShape: [],
    });
  });

  it('have no rank scale where another mode sets the ranks', () => {
    expect(settingsOf('--energy', '0.9')).toMatchObject({ rankScale: null, rankBase: null, energy: 0.9 });
    expect(settingsOf('--macs-budget', '0.7')).toMatchObject({ rankScale: null, macsBudget: 0.7, paramsBudget: null });
  });

  it('stand in the command line that repeats the run', () => {
    const [one, other] = ['it is', 'it was'].map((name) => join(folder, `${name}.onnx`)) as [string, string];
    const report = convertReport(model, '-o', one, '--no-keep-last', '--exclude', '*fc1*', '--scheme', 'channel');
    const line = report.command!.replace(one, other).replace(/^lowrank/, '"$NODE" "$PROGRAM"');
    const env = { ...process.env, NODE: process.execPath, PROGRAM: lowrank };
    const again = spawnSync('sh', ['-c', `${line} --json`], { encoding: 'utf8', env });
    expect(again.status, again.stderr).toBe(0);
    const repeated = JSON.parse(again.stdout) as ConvertReport;
    expect(repeated.command).toBe(report.command!.replace(one, other));
    expect(readFileSync(other).equals(readFileSync(one))).toBe(true);
  });

  it('repeat the run as a configuration file', () => {
    const options = [
      '--rank-scale',
      '0.4',
      '--rank-base',
      'out',
      '--no-keep-last',
      '--threads',
      '1',
      '--exclude',
      '*fc1*',
    ];
    const settings = settingsOf(...options);
    expect(settings).toMatchObject({
      rankScale: 0.4,
      rankBase: 'out',
      keepLast: false,
      threads: 1,
      exclude: ['*fc1*'],
    });
    const first = readFileSync(join(folder, 'out.onnx'));
    const config = join(folder, 'config.yaml');
    writeFileSync(config, JSON.stringify(settings));
    expect(run('convert', model, '--config', config).code).toBe(0);
    expect(readFileSync(join(folder, 'out.onnx')).equals(first)).toBe(true);
  });
});
