import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createLoader } from '../../src/data/loader.js';
import { NORMALIZATIONS } from '../../src/data/normalize.js';
import { openSource } from '../../src/data/open.js';
import { checkModel } from '../../src/graph/check.js';
import { imageKeys } from '../../src/graph/image-facts.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import type { LrFindReport } from '../../src/contracts/lr-find.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { expectFailure, lowrank, root, run, temporaryFolder, type Outcome } from '../support/command.js';
import { canMount, mountTmpfs } from '../support/mount.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
const photos = join(folder, 'photos');
const model = join(folder, 'model.onnx');
/** 6 updates an epoch. */
const settings = ['--batch-size', '12', '--lr', '0.1', '--min-scale', '0.5', '--threads', '2', '--seed', '7'];

beforeAll(async () => {
  await writeTextures(join(photos, 'train'), 24, 1);
  await writeTextures(join(photos, 'val'), 12, 2);
  writeFileSync(model, tinyClassifier());
});

let outputs = 0;
function newOutput(): string {
  const place = join(folder, `output-${++outputs}`);
  mkdirSync(place);
  return join(place, 'trained.onnx');
}

const command = (output: string, ...options: readonly string[]): string[] => [
  'train',
  model,
  '--data',
  photos,
  '-o',
  output,
  ...settings,
  ...options,
];

function train(output: string, ...options: readonly string[]): TrainReport {
  const outcome = run(...command(output, '--json', '--quiet', ...options));
  expect(outcome.stderr).toBe('');
  expect(outcome.code).toBe(0);
  return JSON.parse(outcome.stdout) as TrainReport;
}

const checkpoints = (output: string): string[] => {
  const path = `${output}.checkpoints`;
  return existsSync(path)
    ? readdirSync(path)
        .filter((name) => name.startsWith('step-'))
        .sort()
    : [];
};
const newest = (output: string, file: string): string =>
  join(`${output}.checkpoints`, checkpoints(output).at(-1)!, file);

/** The trained model, and the vectors of the last checkpoint: parameters, statistics, optimizer, averages. */
function expectSame(output: string, expected: string): void {
  expect(readFileSync(output).equals(readFileSync(expected)), 'the written models differ').toBe(true);
  const [state, other] = [output, expected].map((path) => readFileSync(newest(path, 'state.safetensors')));
  expect(state!.equals(other!), 'the states differ').toBe(true);
}

/** Goes on with nothing but the model and the output. */
function resume(output: string): TrainReport {
  const outcome = run('train', model, '-o', output, '--resume', '--json', '--quiet');
  expect(outcome.stderr).toBe('');
  expect(outcome.code).toBe(0);
  return JSON.parse(outcome.stdout) as TrainReport;
}

function start(...words: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Outcome> } {
  const child = spawn(process.execPath, [lowrank, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

/** Sends the signal as soon as there is a checkpoint of `step` or a later one. */
async function stopAt(
  step: number,
  signal: NodeJS.Signals,
  output: string,
  words: readonly string[],
): Promise<Outcome> {
  const { child, ended } = start(...words);
  await until(child, `${output}.checkpoints`, () => {
    const last = checkpoints(output).at(-1);
    return last !== undefined && Number(last.slice('step-'.length)) >= step;
  });
  child.kill(signal);
  return ended;
}

describe('lowrank train', () => {
  it('learns, and writes a model that differs in its weights and what it says of its images alone, and has the reported accuracy', async () => {
    const output = newOutput();
    const board = join(folder, 'board');
    const page = join(folder, 'report.html');
    const report = train(output, '--epochs', '5', '--tensorboard', board, '--report', page);
    expect(report).toMatchObject({ schema: 'lowrank.train/1', status: 'finished', reason: null, seed: 7 });
    expect(report.epochs.map(({ epoch, steps }) => [epoch, steps])).toEqual([1, 2, 3, 4, 5].map((n) => [n, 6 * n]));
    const [first, last] = [report.epochs[0]!, report.epochs.at(-1)!];
    expect(last.loss).toBeLessThan(first.loss / 2);
    // Chance is a third.
    expect(last.valTop1).toBeGreaterThan(0.8);
    expect(report.settings).toMatchObject({ batchSize: 12, lr: 0.1, optimizer: 'sgd', schedule: 'cosine' });
    expect(report.data).toMatchObject({ train: { images: 72, classes: 3 }, val: { images: 36, classes: 3 } });

    const [before, after] = [readModel(model), readModel(output)];
    checkModel(after);
    for (const value of after.graph.initializers) {
      const { tensor } = before.graph.value(value.name)!;
      expect(value.tensor!.dims).toEqual(tensor!.dims);
      expect([...value.tensor!.toFloat32()], `${value.name} was not trained`).not.toEqual([...tensor!.toFloat32()]);
      after.graph.setTensor(value, tensor!);
    }
    for (const key of Object.values(imageKeys)) after.metadata.delete(key);
    expect(Buffer.from(modelBytes(after)).equals(Buffer.from(modelBytes(before)))).toBe(true);

    const source = await openSource(join(photos, 'val'), {});
    const transform = { kind: 'center-crop', width: 16, height: 16, resize: 16 } as const;
    const format = { type: 'float32', layout: 'nchw', normalization: NORMALIZATIONS.imagenet } as const;
    const loader = createLoader({ source, transform, format, batchSize: 36, workers: 0 });
    const driver = await loadDriver();
    const session = await driver.createSession(output);
    for await (const { images, labels, dims } of loader.batches(0)) {
      const { y } = await session.run({ x: { type: 'float32', dims, data: Float32Array.from(images) } });
      const correct = [...labels].filter((label, i) => {
        const logits = [...(y!.data as Float32Array).slice(3 * i, 3 * i + 3)];
        return logits.indexOf(Math.max(...logits)) === Number(label);
      });
      expect(correct.length / 36).toBe(report.written!.valTop1);
    }
    await session.close();
    await loader.close();

    expect(readdirSync(board).some((name) => name.includes('tfevents'))).toBe(true);
    expect(readFileSync(page, 'utf8')).toContain('lowrank training report');
  });

  it('writes the same bytes again, and others with another seed', () => {
    const [a, b, c] = [newOutput(), newOutput(), newOutput()];
    train(a, '--epochs', '1');
    train(b, '--epochs', '1', '--workers', '0', '--checkpoint-every', '2');
    train(c, '--epochs', '1', '--seed', '8');
    expectSame(a, b);
    expect(readFileSync(a).equals(readFileSync(c))).toBe(false);
  });

  it('trains through BatchNormalization that an exporter folded away, and folds it again', () => {
    const folded = join(folder, 'folded.onnx');
    writeFileSync(folded, tinyClassifier({ hasNormalization: false }));
    const output = newOutput();
    const words = command(output, '--epochs', '4', '--insert-bn', '--json', '--quiet').with(1, folded);
    const outcome = run(...words);
    expect(outcome.stderr).toBe('');
    const report = JSON.parse(outcome.stdout) as TrainReport;
    expect(report.epochs.at(-1)!.valTop1).toBeGreaterThan(0.8);
    const [before, after] = [readModel(folded), readModel(output)];
    for (const value of after.graph.initializers) after.graph.setTensor(value, before.graph.value(value.name)!.tensor!);
    for (const key of Object.values(imageKeys)) after.metadata.delete(key);
    expect(Buffer.from(modelBytes(after)).equals(Buffer.from(modelBytes(before)))).toBe(true);
    const measured = run('eval', output, '--data', photos, '--json', '--quiet');
    expect(measured.stderr).toBe('');
    const { top1, loss } = JSON.parse(measured.stdout) as { readonly top1: number; readonly loss: number };
    expect(top1).toBe(report.written!.valTop1);
    // Folding rounds every weight once: 2⁻²⁴ relative, and a few layers.
    expect(Math.abs(loss - report.written!.valLoss!)).toBeLessThan(1e-5);
    expectFailure(run(...command(newOutput(), '--insert-bn', '--quiet')), 'UNSUPPORTED', /no convolution with a bias/);
  });

  it('takes its settings from a file, as docs/train.md shows it; flags win', () => {
    const documentation = readFileSync(join(root, 'docs', 'train.md'), 'utf8');
    const config = join(folder, 'fine-tune.yaml');
    writeFileSync(config, /```yaml\n([\s\S]*?)```/.exec(documentation)![1]!);
    const outcome = run(
      'train',
      model,
      '--data',
      photos,
      '-o',
      newOutput(),
      '--config',
      config,
      '--epochs',
      '2',
      '--json',
    );
    const { settings: used, epochs } = JSON.parse(outcome.stdout) as TrainReport;
    expect(used).toMatchObject({ epochs: 2, lr: 0.05, ema: 0.9, dropPath: 0.1, clip: 1, seed: 3, nesterov: true });
    expect(epochs).toHaveLength(2);
    writeFileSync(config, 'learning-rate: 0.1\n');
    const wrong = run('train', model, '--data', photos, '-o', newOutput(), '--config', config);
    expectFailure(wrong, 'USAGE', /unknown key 'learning-rate'/, 2);
  });

  it('--lr-find: a suggestion that trains, and nothing written', () => {
    const output = newOutput();
    const outcome = run(...command(output, '--lr-find', '--json', '--quiet'));
    expect(outcome.stderr).toBe('');
    const found = JSON.parse(outcome.stdout) as LrFindReport;
    expect(found.schema).toBe('lowrank.lr-find/1');
    expect(found.points[0]!.lr).toBe(1e-6);
    expect(found.points.length).toBeGreaterThan(60);
    expect(readdirSync(join(output, '..'))).toEqual([]);
    expect(found.suggestion).toBeGreaterThan(1e-3);
    const report = train(output, '--epochs', '4', '--lr', String(found.suggestion));
    expect(report.epochs.at(-1)!.valTop1).toBeGreaterThan(0.8);
  });

  it('stops at a loss that is not finite: the step, what to do, no model', () => {
    const output = newOutput();
    const outcome = run(...command(output, '--epochs', '2', '--lr', '1e30', '--checkpoint-every', '1', '--quiet'));
    expectFailure(outcome, 'NUMERIC', /the loss is (NaN|inf).*step 2;.*--lr.*--clip.*--warmup/i);
    expect(existsSync(output)).toBe(false);
    // The only checkpoint was of the weights that gave the NaN.
    expect(checkpoints(output)).toEqual([]);
    // The first step of a warm-up moves nothing, the second too much, which the third finds.
    const warm = ['--epochs', '2', '--lr', '1e30', '--warmup', '1', '--checkpoint-every', '1', '--quiet'];
    expectFailure(
      run(...command(output, ...warm)),
      'NUMERIC',
      /step 3;.*last good checkpoint .*step-000000001.model.onnx/,
    );
    expect(checkpoints(output)).toEqual(['step-000000001']);
    const [whole, kept] = [readModel(model), readModel(newest(output, 'model.onnx'))];
    expect(kept.graph.initializers.length).toBe(whole.graph.initializers.length);
  });
});

describe('lowrank train --resume', () => {
  const cases = [
    { name: 'SGD', options: ['--epochs', '10', '--nesterov'] },
    {
      name: 'AdamW, accumulation, moving averages, dropout, stochastic depth',
      options: [
        '--epochs',
        '14',
        '--optimizer',
        'adamw',
        '--lr',
        '0.005',
        '--accumulate',
        '2',
        '--ema',
        '0.9',
        '--dropout',
        '0.2',
        '--drop-path',
        '0.2',
      ],
    },
  ];
  it.each(cases)(
    'after SIGKILL at a random step equals a training that was not stopped: $name',
    async ({ options }) => {
      const expected = newOutput();
      const whole = train(expected, ...options);
      const output = newOutput();
      const words = command(output, ...options, '--checkpoint-every', '1', '--quiet', '--json');
      const step = 1 + Math.floor(Math.random() * 30);
      const killed = await stopAt(step, 'SIGKILL', output, words);
      expect(killed.code, `stopped at ${step}`).toBe(null);
      expect(existsSync(output)).toBe(false);
      // Every setting is the checkpoint's.
      const report = resume(output);
      expect(report.resumedFrom!.steps, `stopped at ${step}`).toBeGreaterThanOrEqual(step);
      expectSame(output, expected);
      const numbers = ({ epochs }: TrainReport): unknown =>
        epochs.map(({ epoch, steps, loss, top1, valLoss, valTop1, lr, gradientNorm }) => [
          epoch,
          steps,
          loss,
          top1,
          valLoss,
          valTop1,
          lr,
          gradientNorm,
        ]);
      expect(numbers(report)).toEqual(numbers(whole));
    },
  );

  it('after SIGINT: 130, what was saved, and the very command that goes on to the same end', async () => {
    const expected = newOutput();
    const preset = ['--preset', 'fine-tune', '--epochs', '10'];
    train(expected, ...preset);
    const output = newOutput();
    const page = join(output, '..', 'page.html');
    const words = command(output, ...preset, '--checkpoint-every', '2', '--report', page);
    const stopped = await stopAt(4, 'SIGINT', output, words);
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toContain('interrupted');
    expect(existsSync(output)).toBe(false);
    const last = join(`${output}.checkpoints`, checkpoints(output).at(-1)!);
    expect(stopped.stdout).toMatch(new RegExp(`^saved .* updates: the checkpoint ${last}$`, 'm'));
    const line = /^go on with:\n {2}lowrank (train .*)$/m.exec(stopped.stdout)![1]!;
    expect(line).toBe(`train ${model} -o ${output} --resume`);
    expect(readFileSync(page, 'utf8')).toContain(`Go on with <code>lowrank ${line}</code>`);
    // A preset that is named again is no other setting.
    const outcome = run(...line.split(' '), '--preset', 'fine-tune', '--json', '--quiet');
    expect(outcome.stderr).toBe('');
    expect((JSON.parse(outcome.stdout) as TrainReport).resumedFrom!.path).toBe(last);
    expectSame(output, expected);
    expect(readFileSync(page, 'utf8')).toContain('Finished');
  });

  it('after a second SIGINT: 130 at once, and what was saved is whole', async () => {
    const output = newOutput();
    const { child, ended } = start(...command(output, '--epochs', '500', '--checkpoint-every', '1', '--quiet'));
    await until(child, `${output}.checkpoints`, () => checkpoints(output).length > 1);
    child.kill('SIGINT');
    child.kill('SIGTERM');
    expect((await ended).code).toBe(130);
    const last = checkpoints(output).at(-1)!;
    const resumed = start(...command(output, '--epochs', '500', '--checkpoint-every', '1', '--resume'));
    await until(resumed.child, `${output}.checkpoints`, () => checkpoints(output).at(-1)! > last);
    resumed.child.kill('SIGINT');
    const outcome = await resumed.ended;
    expect(outcome.stderr).not.toContain('damaged');
    expect(outcome.code).toBe(130);
  });

  it('passes over torn checkpoints, refuses those of other trainings', () => {
    const output = newOutput();
    train(output, '--epochs', '2', '--keep-checkpoints', '9', '--checkpoint-every', '2');
    expect(checkpoints(output).map((name) => Number(name.slice(5)))).toEqual([2, 4, 6, 8, 10, 12]);
    const expected = readFileSync(output);
    truncateSync(newest(output, 'state.safetensors'), 100);
    const again = (...options: string[]): Outcome => run(...command(output, '--epochs', '2', '--resume', ...options));
    const outcome = again('--json');
    expect(outcome.stderr).toMatch(/step-000000012 is damaged .*the one before it is used/);
    const report = JSON.parse(outcome.stdout) as TrainReport;
    expect(report.resumedFrom!.steps).toBe(10);
    expect(report.warnings.join()).toContain('step-000000012');
    expect(readFileSync(output).equals(expected)).toBe(true);

    const all =
      /trained with batchSize 12, not 6, with lr 0.1, not 0.2, with threads 2, not 1, with images 72 \(\w+\), not 36 \(\w+\), with validation images 36 \(\w+\), not none; .*step-000000012; leave out what was given otherwise/;
    const others = ['--lr', '0.2', '--threads', '1', '--batch-size', '6', '--data', join(photos, 'val')];
    expectFailure(again(...others, '--quiet'), 'USAGE', all, 2);
    const foreign = join(folder, 'foreign.onnx');
    writeFileSync(foreign, tinyClassifier({ seed: 2 }));
    const other = command(output, '--epochs', '2', '--resume', '--quiet').with(1, foreign);
    expectFailure(run(...other), 'USAGE', /checkpoint is of another model/, 2);
    expectFailure(run(...command(output, '--quiet')), 'OUTPUT', /exists already/);

    for (const name of checkpoints(output)) writeFileSync(join(`${output}.checkpoints`, name, 'state.json'), '{"sch');
    expectFailure(again('--quiet'), 'INPUT', /is damaged/);
    expectFailure(run(...command(newOutput(), '--resume', '--quiet')), 'INPUT', /no checkpoint to resume from/);
    expectFailure(
      run('train', model, '-o', newOutput()),
      'USAGE',
      /training images are missing; name them with --data/,
      2,
    );
  });

  it.skipIf(!canMount)('after a full disk: the checkpoint before it is whole', () => {
    const disk = mountTmpfs('size=200k')!;
    try {
      const expected = newOutput();
      train(expected, '--epochs', '3');
      const output = join(disk.folder, 'trained.onnx');
      const words = command(output, '--epochs', '3', '--quiet', '--checkpoint-every', '1', '--keep-checkpoints', '99');
      expectFailure(run(...words), 'OUTPUT', /the checkpoint of step \d+ cannot be written: no space left.*--resume/);
      const before = checkpoints(output).length;
      expect(before).toBeGreaterThan(1);
      disk.remount('size=4m');
      const report = train(output, '--epochs', '3', '--resume');
      expect(report.resumedFrom!.steps).toBe(before);
      expectSame(output, expected);
      expect(readdirSync(`${output}.checkpoints`).filter((name) => name.startsWith('.'))).toEqual([]);
    } finally {
      disk.unmount();
    }
  });

  it('one training at a time writes to an output', async () => {
    const output = newOutput();
    const { child, ended } = start(...command(output, '--epochs', '500', '--quiet'));
    await until(child, dirname(output), () => existsSync(`${output}.lock`));
    expectFailure(run(...command(output, '--quiet')), 'OUTPUT', /process \d+ on .* is training into this output/);
    child.kill('SIGKILL');
    await ended;
    // The lock of a process that has gone does not count.
    expect(existsSync(`${output}.lock`)).toBe(true);
    train(output, '--epochs', '1', '--force');
    expect(existsSync(`${output}.lock`)).toBe(false);
  });
});

describe('lowrank train, what cannot be trained', () => {
  const trainOther = (bytes: Uint8Array, ...options: readonly string[]): Outcome => {
    const path = join(folder, 'other.onnx');
    writeFileSync(path, bytes);
    return run(...command(newOutput(), '--epochs', '1', '--quiet', ...options).with(1, path));
  };
  const ints = (name: string, values: readonly bigint[]) => ({
    name,
    type: 'int64' as const,
    dims: [values.length],
    data: BigInt64Array.from(values),
  });

  it('classes that are not those of the model, unless it gets a new head', () => {
    const four = tinyClassifier({ classes: 4 });
    expectFailure(
      trainOther(four),
      'INPUT',
      /the images have 3 classes and the model 4 outputs.*--classes.*--new-head/,
    );
    const outcome = trainOther(four, '--new-head', '--json');
    expect(outcome.code).toBe(0);
    const { output } = JSON.parse(outcome.stdout) as TrainReport;
    expect(readModel(output!.path).graph.outputs[0]!.declared!.dims).toEqual(['n', 3]);
  });

  it('an operator without a gradient is named, with the nodes that lead to it', () => {
    const nodes = [
      { op: 'Reshape', inputs: ['block2.relu', 'flat.shape'], outputs: ['columns'], name: 'columns' },
      { op: 'Col2Im', inputs: ['columns', 'image', 'block'], outputs: ['inserted'], name: 'odd' },
    ];
    const initializers = [ints('flat.shape', [0n, 8n, 64n]), ints('image', [8n, 8n]), ints('block', [1n, 1n])];
    const outcome = trainOther(tinyClassifier({ inserted: { nodes, initializers } }));
    expectFailure(
      outcome,
      'UNSUPPORTED',
      /Col2Im has no gradient.*Col2Im 'odd'.*Relu 'block2.relu' → Reshape 'columns'/,
    );
  });

  it('more memory than there is: what to lower', () => {
    // 2⁴⁰ elements per channel: more than a process can address.
    const nodes = [
      { op: 'GlobalAveragePool', inputs: ['block2.relu'], outputs: ['small'] },
      { op: 'Expand', inputs: ['small', 'large'], outputs: ['inserted'], name: 'large' },
    ];
    const inserted = { nodes, initializers: [ints('large', [1n, 1n, 2n ** 20n, 2n ** 20n])] };
    expectFailure(
      trainOther(tinyClassifier({ inserted })),
      'RUNTIME',
      /one run needs .* MiB.*'inserted'.*--max-memory/,
    );
  });
});
