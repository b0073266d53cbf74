import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkpointsOf, openCheckpoints } from '../../src/training/checkpoint.js';
import type { CheckpointPosition } from '../../src/contracts/checkpoint.js';
import { readNewest, savedCall } from '../../src/training/newest-checkpoint.js';
import { defaultTrainSettings } from '../../src/training/options.js';
import { completeCall, withSaved } from '../../src/training/resume.js';
import { type SavedCall, savedCallOf } from '../../src/training/saved-call.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';

const folder = temporaryFolder();
let count = 0;
const identity = { model: 'hash', settings: { lr: 0.1 } };
const state = (value: number) => ({
  parameters: Float32Array.of(value),
  statistics: new Float32Array(0),
  state: new Float32Array(0),
  ema: new Float32Array(0),
});
const lengths = { parameters: 1, statistics: 0, state: 0, ema: 0 };
const running = { images: 1, loss: 0.1, correct: 1, gradientNorm: 1, steps: 1, seconds: 0.5, waitSeconds: 0 };
const position = (step: number): CheckpointPosition => ({ step, epoch: 0, batch: step, running, epochs: [] });

const names = (path: string): string[] => readdirSync(path).sort();
const stepOf = (step: number): string => `step-${String(step).padStart(9, '0')}`;

/** A folder with a checkpoint of each step, whose parameter is the step. */
function written(...steps: readonly number[]): string {
  const path = join(folder, String(count++));
  const checkpoints = openCheckpoints(path, 2);
  for (const step of steps) {
    checkpoints.write(state(step), position(step), identity, (model) => writeFileSync(model, 'model'));
  }
  return path;
}

function newest(path: string): { readonly value: number; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const read = readNewest(openCheckpoints(path, 2).list(), identity, {}, lengths, (line) => warnings.push(line));
  return { value: read.state.parameters[0]!, warnings };
}

describe('state.json', () => {
  const change = (path: string, edit: (text: string) => string): void => {
    const file = join(path, stepOf(2), 'state.json');
    writeFileSync(file, edit(readFileSync(file, 'utf8')));
  };

  it.each<[string, (text: string) => string]>([
    ['a digit', (text) => text.replace('"batch": 2', '"batch": 3')],
    ['a sum', (text) => text.replace('"loss": 0.1', '"loss": 0.2')],
    ['what is missing', (text) => text.replace('"batch": 2,', '')],
    ['a cut', (text) => text.slice(0, -20)],
    ['nothing but null', () => 'null'],
    ['another checksum', (text) => text.replace(/"checksum": "./, '"checksum": "x')],
  ])('that changed is not believed: %s', (_, edit) => {
    const path = written(1, 2);
    change(path, edit);
    const { value, warnings } = newest(path);
    expect(value).toBe(1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/damaged.*the one before it is used/);
  });

  it('of a version without a checksum is read', () => {
    const path = written(1, 2);
    change(path, (text) => JSON.stringify({ ...(JSON.parse(text) as object), checksum: undefined }));
    expect(newest(path)).toEqual({ value: 2, warnings: [] });
  });
});

describe('what a training was told', () => {
  const call = savedCallOf(
    { model: 'm.onnx', output: 'o.onnx', data: 'photos', report: 'page.html' },
    defaultTrainSettings,
  );
  const saving = (told: unknown): string => {
    const output = join(folder, `told-${count++}.onnx`);
    const write = (model: string): void => writeFileSync(model, 'model');
    openCheckpoints(checkpointsOf(output), 2).write(state(1), position(1), identity, write, told as SavedCall);
    return output;
  };

  it('is read from the newest checkpoint, and fills in what is not said', () => {
    const output = saving(call);
    expect(savedCall(output)).toEqual(call);
    const options = { model: 'm.onnx', output, resume: true, val: 'other' };
    expect(withSaved(options, call)).toMatchObject({ data: 'photos', val: 'other', report: 'page.html' });
    expect(savedCall(join(folder, 'nothing.onnx'))).toBe(undefined);
  });

  it('leads from another folder to the same files, unless the folder has gone', () => {
    const elsewhere = withSaved({ model: 'm.onnx', output: 'o.onnx' }, { ...call, folder });
    expect(elsewhere).toMatchObject({ data: join(folder, 'photos'), report: join(folder, 'page.html') });
    const gone = withSaved({ model: 'm.onnx', output: 'o.onnx' }, { ...call, folder: join(folder, 'gone') });
    expect(gone.data).toBe('photos');
  });

  it.each<[string, unknown]>([
    ['no object', 5],
    ['no images', { ...call, data: null }],
    ['a number for a path', { ...call, val: 3 }],
    ['a text for a number', { ...call, settings: { ...defaultTrainSettings, lr: '0.1' } }],
    ['a text for a list', { ...call, settings: { ...defaultTrainSettings, freeze: 'fc*' } }],
    ['a number for a choice', { ...call, settings: { ...defaultTrainSettings, schedule: 1 } }],
  ])('is not believed: %s', async (_, told) => {
    const output = saving(told);
    expect(savedCall(output)).toBe(undefined);
    const failure = await failureOf('INPUT', () => completeCall({ model: 'm.onnx', output, resume: true }));
    expect(failure.message).toMatch(/step-000000001 is damaged \(state.json is not what was written\)/);
  });
});

describe('a process that was killed', () => {
  it('between the two renames of a checkpoint leaves the old one', () => {
    const path = written(1, 2);
    renameSync(join(path, stepOf(2)), join(path, `.${stepOf(2)}.replaced`));
    mkdirSync(join(path, `.${stepOf(2)}.4711`));
    expect(newest(path).value).toBe(2);
    expect(names(path)).toEqual([stepOf(1), stepOf(2)]);
  });

  it('while it removed one, or wrote one, leaves no half one', () => {
    const path = written(1, 2);
    mkdirSync(join(path, `.${stepOf(9)}.removed`));
    mkdirSync(join(path, `.${stepOf(9)}.4711`));
    writeFileSync(join(path, '.step-9-notes'), 'mine');
    expect(newest(path).value).toBe(2);
    expect(names(path)).toEqual(['.step-9-notes', stepOf(1), stepOf(2)]);
  });
});

describe('a killed training that had not removed what does not stay', () => {
  it('is tidied up when it is gone on with: the last ones and the best stay', () => {
    const path = join(folder, String(count++));
    const all = openCheckpoints(path, 9);
    for (const step of [1, 2, 3, 4]) {
      all.write(state(step), position(step), identity, (model) => writeFileSync(model, 'model'));
    }
    const again = openCheckpoints(path, 2);
    again.keepBest(1);
    again.tidy();
    expect(names(path)).toEqual([stepOf(1), stepOf(3), stepOf(4)]);
  });
});

describe('beginning anew', () => {
  it('removes the old checkpoints when there is a new one, however many steps they had', () => {
    const path = written(7, 8);
    const checkpoints = openCheckpoints(path, 2);
    checkpoints.supersede();
    expect(checkpoints.list()).toEqual([]);
    checkpoints.write(state(1), position(1), identity, (model) => writeFileSync(model, 'model'));
    expect(names(path)).toEqual([stepOf(1)]);
  });

  it('without a new one leaves the old ones: given up, or killed', () => {
    for (const isKilled of [true, false]) {
      const path = written(7, 8);
      const checkpoints = openCheckpoints(path, 2);
      checkpoints.supersede();
      if (!isKilled) checkpoints.reinstate();
      expect(existsSync(join(path, stepOf(8)))).toBe(!isKilled);
      expect(newest(path).value).toBe(8);
      expect(names(path)).toEqual([stepOf(7), stepOf(8)]);
    }
  });

  it('killed with a new one and the old ones: only the new one counts', () => {
    const path = written(1);
    const old = written(7);
    renameSync(join(old, stepOf(7)), join(path, `.${stepOf(7)}.superseded`));
    expect(newest(path).value).toBe(1);
    expect(names(path)).toEqual([stepOf(1)]);
  });
});
