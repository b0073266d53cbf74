import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run, runAlone, runIn, temporaryFolder } from '../support/command.js';

const folder = temporaryFolder();

describe('the program that stands by for the tests', () => {
  it.each([
    [['--version']],
    [['help', 'eval']],
    [['docto']],
    [['inspect', join(folder, 'none.onnx'), '--json']],
    [['create', 'lenet5', '-o', join(folder, 'lenet5.onnx'), '--force']],
    [['inspect', join(folder, 'lenet5.onnx'), '--no-spectrum', '--json']],
    [['convert', join(folder, 'lenet5.onnx'), '--energy', '2']],
  ])('says of %j what a process of its own says', (words) => {
    const alone = runAlone(...words);
    expect(run(...words)).toEqual(alone);
    expect(run(...words)).toEqual(alone);
  });

  it('runs where it is told to, and in the environment of the test', () => {
    expect(runIn(folder, 'create', 'lenet5', '-o', 'here.onnx').code).toBe(0);
    expect(run('inspect', join(folder, 'here.onnx'), '--no-spectrum').code).toBe(0);
    process.env['LOWRANK_DRIVER'] = 'odd';
    const words = ['convert', join(folder, 'here.onnx'), '--calibrate', 'none', '--macs-budget', '0.5'];
    try {
      const outcome = run(...words);
      expect(outcome.stderr).toMatch(/LOWRANK_DRIVER is 'odd'/);
      expect(outcome).toEqual(runAlone(...words));
    } finally {
      delete process.env['LOWRANK_DRIVER'];
    }
  });
});
