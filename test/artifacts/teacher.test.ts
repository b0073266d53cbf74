import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeArtifacts } from '../../src/artifacts/artifacts.js';
import type { ArtifactsManifest } from '../../src/contracts/artifacts.js';
import { readSafetensors } from '../../src/files/safetensors.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { feedOf } from '../../src/recover/feed.js';
import { Learner } from '../../src/recover/learner.js';
import { type Closers, openRecovery } from '../../src/recover/open.js';
import { checkedSettings } from '../../src/recover/recover.js';
import type { RecoverSettings } from '../../src/recover/settings.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import { initialState } from '../../src/step/vectors.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';
import { faultOf } from '../support/schemas.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';
import { normal } from '../train/support/loss-of.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const photos = at('photos');
const [teacher, student] = [at('teacher.onnx'), at('student.onnx')];
const driver = await loadDriver();
const lr = 0.003;

beforeAll(async () => {
  await writeTextures(photos, 12, 5);
  writeFileSync(teacher, tinyClassifier({ seed: 1 }));
  writeFileSync(student, tinyClassifier({ seed: 2 }));
});

interface Step {
  readonly loss: number;
  readonly correct: number;
}

/** Three steps of a recovery: what each had, the pictures it saw, and the weights behind them. */
async function recovered(chosen: Partial<RecoverSettings>) {
  const settings = { normalization: 'unit', batchSize: 6, threads: 1, workers: 0, lr, ...chosen } as const;
  const options = { model: student, teacher, output: at('none.onnx'), data: photos, settings };
  const closers: Closers = [];
  try {
    const opened = await openRecovery(options, checkedSettings(options), closers);
    const { prepared, gradient, update, images, loaders, session, settings: settled } = opened;
    const seen: { images: Float32Array; labels: BigInt64Array }[] = [];
    for (const isKept of [true, false]) {
      const loader = loaders.training(images.training);
      closers.push(() => loader.close());
      if (isKept) {
        for await (const batch of loader.batches(0)) {
          seen.push({ images: Float32Array.from(batch.images), labels: batch.labels.slice() });
        }
        continue;
      }
      const learning = {
        ...{ driver, session, gradient, update, settings: settled, signal: undefined, note: () => {} },
        graphOptimization: opened.target.graphOptimization,
      };
      const learner = await Learner.start(learning, feedOf(loader), initialState(prepared, update.stateLength, false));
      const steps: Step[] = [];
      for (let i = 0; i < 3; i++) {
        const { loss, correct } = await learner.step(lr);
        steps.push({ loss, correct });
      }
      const { parameters, statistics } = await learner.weights();
      await learner.close();
      return { seen, steps, parameters, statistics };
    }
    throw new Error('no steps');
  } finally {
    for (const closer of closers.reverse()) await closer();
  }
}

const float32 = (data: Float32Array, dims: readonly number[] = [data.length]): RuntimeTensor => ({
  ...{ type: 'float32', dims, data },
});

/** The same with the graphs of a folder, as another program drives them. */
async function driven(path: string, manifest: ArtifactsManifest, seen: Awaited<ReturnType<typeof recovered>>['seen']) {
  const { gradient, update, initial, imageShape } = manifest;
  const { tensors } = readSafetensors(join(path, initial.file));
  const [gradients, updates] = await Promise.all(
    [gradient, update].map(({ file }) => driver.createSession(readFileSync(join(path, file)), { threads: 1 })),
  );
  const steps: Step[] = [];
  const vector = (name: string): RuntimeTensor => float32(tensors.get(name)!.data as Float32Array);
  let [parameters, statistics, state] = [vector('parameters'), vector('statistics'), vector('state')];
  for (const [i, { images, labels }] of seen.slice(0, 3).entries()) {
    const { inputs, outputs } = gradient;
    const given = await gradients!.run({
      [inputs.parameters]: parameters,
      [inputs.statistics]: statistics,
      [inputs.images]: float32(images, [labels.length, ...imageShape]),
      ...(inputs.labels === undefined
        ? {}
        : { [inputs.labels]: { type: 'int64', dims: [labels.length], data: labels } as const }),
    });
    statistics = given[outputs.statistics]!;
    steps.push({ loss: Number(given[outputs.loss]!.data[0]), correct: Number(given[outputs.correct]!.data[0]) });
    const moved = await updates!.run({
      [update.inputs.parameters]: parameters,
      [update.inputs.gradient]: given[outputs.gradient]!,
      [update.inputs.state]: state,
      [update.inputs.learningRate]: float32(Float32Array.of(lr), []),
      [update.inputs.step]: { type: 'int64', dims: [], data: BigInt64Array.of(BigInt(i + 1)) },
    });
    [parameters, state] = [moved[update.outputs.parameters]!, moved[update.outputs.state]!];
  }
  await Promise.all([gradients!.close(), updates!.close()]);
  return { steps, parameters: parameters.data as Float32Array, statistics: statistics.data as Float32Array };
}

/** Largest difference, against the largest number. */
function distance(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0) / largest;
}

describe('the step of a recovery as files', () => {
  it.each([
    ['frozen, of any number of images', { batchNorm: 'frozen' }, null],
    ['with statistics of batches, of 6 images', { batchNorm: 'batch', match: 'features', temperature: 2 }, 6],
    ['with labels beside the teacher', { batchNorm: 'frozen', labelWeight: 0.5, match: 'outputs' }, null],
  ] as const)('gives the losses and the weights of lowrank train --teacher: %s', async (name, match, batchSize) => {
    const own = await recovered(match);
    const path = at(`step ${name}`);
    const manifest = await writeArtifacts(student, path, { teacher, match, settings: { batchSize } });
    expect(manifest.matching).toMatchObject({ classes: 3, ...match });
    expect(manifest.gradient.inputs.labels).toBe('labelWeight' in match ? 'labels' : undefined);
    const others = await driven(path, manifest, own.seen);
    for (const [i, { loss, correct }] of own.steps.entries()) {
      expect(others.steps[i]!.correct).toBe(correct);
      // The same formulas in another layout: sums of some thousand float32 terms in another order.
      expect(Math.abs(others.steps[i]!.loss - loss)).toBeLessThan(1e-5 * loss);
    }
    // Adam divides by the root of the mean square: where a gradient is all rounding, so is its step, at most lr each time.
    expect(distance(others.parameters, own.parameters)).toBeLessThan(1e-3);
    expect(distance(others.statistics, own.statistics)).toBeLessThan(1e-5);
  });

  it('says how the teacher is followed, and that no labels are read', () => {
    const words = ['--teacher', teacher, '-o', at('said'), '--match-tensors', 'block2.*', '--temperature', '3'];
    const { code, stdout, stderr } = run('artifacts', student, ...words, '--batch-norm', 'auto', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const manifest = JSON.parse(stdout) as ArtifactsManifest;
    expect(faultOf(manifest)).toBe(undefined);
    expect(manifest).toEqual(JSON.parse(readFileSync(at('said/manifest.json'), 'utf8')));
    const { matching, labels, loss, settings } = manifest;
    expect(manifest.teacher).toMatchObject({ file: 'teacher.onnx', path: '../teacher.onnx' });
    expect(matching).toMatchObject({ match: 'auto', matchTensors: ['block2.*'], temperature: 3, labelWeight: 0 });
    expect(matching!.batchNorm).toBe('frozen');
    // The outputs of convolutions are none, for their BatchNormalization is folded into them.
    expect(matching!.points.map((point) => point.name)).toEqual([
      ...['block2.conv1.bn', 'block2.relu1', 'block2.conv2.bn', 'block2.add', 'block2.relu'],
    ]);
    expect({ labels, loss }).toEqual({ labels: undefined, loss: 'matching' });
    expect(settings).toMatchObject({ optimizer: 'adam', weightDecay: 0 });
    for (const { file, inputs } of [manifest.gradient, manifest.eval]) {
      const { graph } = readModel(readFileSync(at(`said/${file}`)));
      expect(graph.inputs.map((input) => input.name).sort()).toEqual(Object.values(inputs).flat().sort());
    }
    const text = run('artifacts', student, '--teacher', teacher, '-o', at('text'), '--optimizer', 'sgd').stdout;
    expect(text).toMatch(/teacher +teacher\.onnx\nmatched +3 classes and 7 values; BatchNormalization frozen/);
  });

  it('is trained by a program that reads no labels, and its weights go back into the model', () => {
    const path = at('example');
    expect(run('artifacts', student, '--teacher', teacher, '-o', path).code).toBe(0);
    const trained = at('trained.safetensors');
    const words = [path, '--steps', '40', '--lr', '0.01', '-o', trained];
    const { status, stdout, stderr } = spawnSync(process.execPath, ['examples/train.mjs', ...words], {
      encoding: 'utf8',
    });
    expect(status, stderr).toBe(0);
    const first = Number(/^step 1: loss ([\d.e-]+)/m.exec(stdout)![1]);
    expect(Number(/^evaluation: loss ([\d.e-]+)/m.exec(stdout)![1])).toBeLessThan(0.3 * first);
    const back = run('artifacts', '--write-back', trained, '-o', at('back.onnx'));
    expect(back.code, back.stderr).toBe(0);
    const names = readModel(student).graph.initializers.map(({ name }) => name);
    const { initializers } = readModel(at('back.onnx')).graph;
    expect(initializers.map(({ name }) => name)).toEqual(names);
    const { tensors } = readSafetensors(trained);
    for (const { name, tensor } of initializers) {
      const weights = tensors.get(name)?.data;
      if (weights !== undefined) expect(tensor!.toFloat32(), name).toEqual(weights);
    }
  });

  it('is that of a model of maps too, which has no classes', () => {
    const mapper = (seed: string): string => {
      const path = at(`${seed}.onnx`);
      const weight = { name: 'w', dims: [4, 3, 3, 3], data: normal(seed, 108, 0.3) };
      const node = { op: 'Conv', inputs: ['x', 'w'], outputs: ['y'], attributes: { pads: [1, 1, 1, 1] } };
      const [inputs, outputs] = [3, 4].map((channels, i) => [{ name: 'xy'[i]!, dims: ['n', channels, 8, 8] }]);
      writeFileSync(path, buildModel({ inputs: inputs!, outputs: outputs!, initializers: [weight], nodes: [node] }));
      return path;
    };
    const words = ['artifacts', mapper('one'), '--teacher', mapper('two'), '-o', at('maps')];
    const { code, stdout, stderr } = run(...words, '--json');
    expect(code, stderr).toBe(0);
    const manifest = JSON.parse(stdout) as ArtifactsManifest;
    expect(faultOf(manifest)).toBe(undefined);
    expect(manifest).toMatchObject({ classes: null, loss: 'matching', matching: { classes: null } });
    const listed = at('classes.txt');
    writeFileSync(listed, 'a\nb\n');
    const force = ['--force', '--classes', listed];
    expectFailure(run(...words, ...force), 'INPUT', /has 2 classes and the model is no classifier/);
    const trained = at('maps/initial.safetensors');
    const back = run('artifacts', at('maps'), '--write-back', trained, '-o', at('maps.onnx'));
    expect(back.code, back.stderr).toBe(0);
  });
});

describe('options of a step with a teacher', () => {
  const fails = (words: readonly string[], pattern: RegExp): void =>
    expectFailure(run('artifacts', student, '-o', at('bad'), ...words), 'USAGE', pattern, 2);

  it('are refused without one, as train refuses them', () => {
    for (const words of [
      ['--match', 'outputs'],
      ['--match-tensors', 'a*'],
      ['--temperature', '2'],
      ['--label-weight', '1'],
      ['--batch-norm', 'frozen'],
    ]) {
      const line = new RegExp(`${words[0]} does nothing without --teacher; give the original model with --teacher`);
      fails(words, line);
      expectFailure(run('train', student, '--data', photos, ...words), 'USAGE', line, 2);
    }
  });

  it('are held against both models', () => {
    const following = (...words: string[]): string[] => ['--teacher', teacher, ...words];
    fails(following('--precision', 'float16'), /a teacher is followed in float32 alone, not in float16.*leave it out/);
    fails(following('--match-tensors', 'nothing*'), /no value of both models has such a name/);
    fails(following('--temperature', '0'), /'0' is out of range; option '--temperature'/);
    writeFileSync(at('four.onnx'), tinyClassifier({ classes: 4 }));
    fails(['--teacher', at('four.onnx')], /tells 3 classes apart, the teacher 4/);
    const saying = (path: string, normalization: string): string => {
      const model = readModel(tinyClassifier());
      model.metadata.set('lowrank.normalization', normalization);
      writeFileSync(path, modelBytes(model));
      return path;
    };
    const [own, other] = [saying(at('unit.onnx'), 'unit'), saying(at('imagenet.onnx'), 'imagenet')];
    const differing = run('artifacts', own, '-o', at('bad'), '--teacher', other);
    expectFailure(differing, 'USAGE', /take pictures normalized differently.*unit\.onnx: unit; .*: imagenet/, 2);
    expectFailure(run('artifacts', student, '-o', teacher, '--teacher', teacher, '--force'), 'USAGE', /the teacher/, 2);
  });
});
