import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import { writeArtifacts } from '../../src/artifacts/artifacts.js';
import { buildEvalGraph } from '../../src/step/eval-graph.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import type { ArtifactsManifest } from '../../src/contracts/artifacts.js';
import { artifactFiles } from '../../src/step/manifest.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { requireSameGraph } from '../../src/step/same-graph.js';
import { readSafetensors } from '../../src/files/safetensors.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { differences } from '../support/describe-json.js';
import { failureOf } from '../support/errors.js';
import { buildModel } from '../support/models.js';
import { canMount, mountTmpfs } from '../support/mount.js';
import { python } from '../support/python.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { hasGoldens, nets, readGolden } from '../train/support/golden.js';
import description from '../train/support/manifest-description.json' with { type: 'json' };

const folder = temporaryFolder();
const inFolder = (name: string): string => join(folder, name);
const tiny = inFolder('tiny.onnx');
beforeAll(() => writeFileSync(tiny, tinyClassifier({ dropout: 0.25 })));

function manifestIn(path: string): ArtifactsManifest {
  return JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as ArtifactsManifest;
}

function artifacts(model: string, output: string, ...words: string[]): ArtifactsManifest {
  const outcome = run('artifacts', model, '-o', output, '--json', ...words);
  expect(outcome.stderr).toBe('');
  expect(outcome.code).toBe(0);
  const manifest = manifestIn(output);
  expect(JSON.parse(outcome.stdout)).toEqual(manifest);
  return manifest;
}

/** What must hold of every manifest, whatever the model. */
function checkManifest(path: string, model: string): ArtifactsManifest {
  const manifest = manifestIn(path);
  expect(differences(manifest, description)).toEqual([]);
  expect(readdirSync(path).sort()).toEqual(Object.values(artifactFiles).sort());
  const original = readModel(model);
  const { tensors } = readSafetensors(join(path, manifest.initial.file));
  expect([...tensors.keys()]).toEqual(['parameters', 'statistics', 'state']);
  for (const vector of ['parameters', 'statistics'] as const) {
    const flat = tensors.get(vector)!.data as Float32Array;
    let end = 0;
    for (const { name, shape, offset, size } of manifest[vector]) {
      expect(offset, name).toBe(end);
      expect(size, name).toBe(shape.reduce((product, dim) => product * dim, 1));
      end += size;
      const stored = original.graph.value(name)?.tensor;
      expect(stored?.dims, name).toEqual(shape);
      expect(flat.slice(offset, end), name).toEqual(stored!.toFloat32());
    }
    expect(end).toBe(manifest.lengths[vector]);
    expect(flat.length).toBe(end);
  }
  const state = tensors.get('state')!.data as Float32Array;
  expect(state.length).toBe(manifest.lengths.state);
  expect(state.every((x) => x === 0)).toBe(true);
  original.file?.close();
  for (const { file, inputs, outputs } of [manifest.gradient, manifest.update, manifest.eval]) {
    const { graph, opsets } = readModel(readFileSync(join(path, file)));
    if (manifest.settings.target === 'portable') expect([...opsets.keys()]).toEqual(['']);
    expect(Object.values(inputs).flat().sort()).toEqual(graph.inputs.map(({ name }) => name).sort());
    expect(Object.values(outputs).sort()).toEqual(graph.outputs.map(({ name }) => name).sort());
  }
  return manifest;
}

describe('the folder of lowrank-artifacts', () => {
  it('has the files and the manifest that the contract says', () => {
    const output = inFolder('plain');
    artifacts(tiny, output);
    const manifest = checkManifest(output, tiny);
    expect(manifest.batch).toBeNull();
    expect(manifest.imageShape).toEqual([3, 16, 16]);
    expect(manifest.classes).toBe(3);
    expect(manifest.masks).toEqual([{ name: manifest.gradient.inputs.masks[0], shape: [8], ratio: 0.25 }]);
    expect(manifest.parameters.filter(({ decay }) => decay).map(({ shape }) => shape.length)).toEqual([
      4, 4, 4, 4, 4, 2,
    ]);
  });

  it('takes every optimizer, a fixed batch, and which parameters are decayed or frozen', () => {
    const buffers = { sgd: 1, adam: 2, adamw: 2, rmsprop: 2 };
    for (const [optimizer, count] of Object.entries(buffers)) {
      const manifest = artifacts(tiny, inFolder(optimizer), '--optimizer', optimizer, '--batch-size', '4');
      expect(manifest.lengths.state).toBe(count * manifest.lengths.parameters);
      expect(manifest.batch).toBe(4);
    }
    const without = artifacts(tiny, inFolder('no-momentum'), '--momentum', '0');
    expect(without.lengths.state).toBe(0);
    const chosen = artifacts(tiny, inFolder('chosen'), '--decay', '*.bias', '--freeze', 'block1.*');
    expect(chosen.parameters.filter(({ decay }) => decay).every(({ name }) => name.endsWith('.bias'))).toBe(true);
    expect(chosen.parameters.some(({ name }) => name.startsWith('block1.'))).toBe(false);
  });

  it('is replaced only with --force, whole, and only where it holds nothing else', () => {
    const output = inFolder('again');
    mkdirSync(output);
    artifacts(tiny, `${output}/`);
    expectFailure(run('artifacts', tiny, '-o', output), 'OUTPUT', /exists already.*--force/);
    expect(artifacts(tiny, output, '--force', '--optimizer', 'adam').settings.optimizer).toBe('adam');
    checkManifest(output, tiny);
    writeFileSync(join(output, 'notes.txt'), 'mine');
    expectFailure(run('artifacts', tiny, '-o', output, '--force'), 'OUTPUT', /something else: 'notes.txt'/);
    expect(manifestIn(output).settings.optimizer).toBe('adam');
    expect(readFileSync(join(output, 'notes.txt'), 'utf8')).toBe('mine');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('goes where a link leads', () => {
    const [target, link] = [inFolder('linked'), inFolder('link')];
    artifacts(tiny, target);
    symlinkSync(target, link);
    expect(artifacts(tiny, link, '--force', '--clip', '2').settings.clip).toBe(2);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(manifestIn(target).settings.clip).toBe(2);
  });

  it('leaves nothing behind where it is interrupted', async () => {
    const before = readdirSync(folder).sort();
    const controller = new AbortController();
    const writing = writeArtifacts(tiny, inFolder('stopped'), { signal: controller.signal });
    controller.abort();
    await failureOf('ABORTED', () => writing);
    expect(readdirSync(folder).sort()).toEqual(before);
  });

  it('leaves nothing behind where it fails', () => {
    const before = readdirSync(folder).sort();
    expectFailure(run('artifacts', tiny, '-o', inFolder('bad'), '--decay', 'nothing*'), 'USAGE', /matches no param/, 2);
    expectFailure(
      run('artifacts', tiny, '-o', inFolder('bad'), '--freeze', 'nothing*'),
      'USAGE',
      /matches no param/,
      2,
    );
    expect(readdirSync(folder).sort()).toEqual(before);
  });
});

describe('bad input', () => {
  const output = inFolder('bad');
  const fails = (model: string, code: string, words: RegExp, exitCode = 1, ...more: string[]): void => {
    expectFailure(run('artifacts', model, '-o', output, ...more), code, words, exitCode);
    expect(existsSync(output)).toBe(false);
  };

  it('flags that contradict each other', () => {
    fails(tiny, 'USAGE', /Nesterov.*--optimizer sgd/, 2, '--nesterov', '--optimizer', 'adam');
    fails(tiny, 'USAGE', /Nesterov/, 2, '--nesterov', '--momentum', '0');
    fails(tiny, 'USAGE', /--target cpu.*one batch size.*--batch-size/, 2, '--target', 'cpu');
    fails(tiny, 'USAGE', /images of \[3, 16, 16\], not \[3, 32, 32\].*--image-size/, 2, '--image-size', '32');
    fails(
      tiny,
      'USAGE',
      /'1' is out of range; option '--label-smoothing'; give a number, at least 0, below 1/,
      2,
      '--label-smoothing',
      '1',
    );
    fails(tiny, 'USAGE', /'0' is out of range; option '--clip'; give a number, above 0/, 2, '--clip', '0');
  });

  it('outputs that cannot be folders', () => {
    writeFileSync(inFolder('file'), '');
    expectFailure(run('artifacts', tiny, '-o', inFolder('file'), '--force'), 'OUTPUT', /a file is in its place/);
    expectFailure(run('artifacts', tiny, '-o', tiny, '--force'), 'USAGE', /the folder of artifacts and the model/, 2);
    expectFailure(run('artifacts', tiny, '-o', inFolder('no/where')), 'OUTPUT', /folder around the output.*create/);
    expectFailure(run('artifacts', tiny, '-o', inFolder('file/below')), 'OUTPUT', /folder around the output/);
  });

  it.skipIf(process.getuid?.() === 0)('a folder that cannot be written to', () => {
    const locked = inFolder('locked');
    mkdirSync(locked);
    chmodSync(locked, 0o500);
    expectFailure(run('artifacts', tiny, '-o', join(locked, 'out')), 'OUTPUT', /not writable/);
    chmodSync(locked, 0o700);
  });

  it.skipIf(!canMount)('a full disk', () => {
    const mounted = mountTmpfs('size=12k')!;
    try {
      expectFailure(run('artifacts', tiny, '-o', join(mounted.folder, 'out')), 'OUTPUT', /no space left/);
      expect(readdirSync(mounted.folder)).toEqual([]);
    } finally {
      mounted.unmount();
    }
  });

  it('models that are no classifiers with weights', () => {
    const write = (name: string, bytes: Uint8Array): string => {
      writeFileSync(inFolder(name), bytes);
      return inFolder(name);
    };
    const pooled = { op: 'GlobalAveragePool', inputs: ['x'], outputs: ['p'] };
    const none = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [{ name: 'y' }],
      nodes: [pooled, { op: 'Flatten', inputs: ['p'], outputs: ['y'] }],
    });
    fails(write('none.onnx', none), 'UNSUPPORTED', /nothing to train.*float32 weights/);
    const doubles = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [{ name: 'y' }],
      initializers: [{ name: 'w', type: 'float64', dims: [2, 3, 1, 1], data: new Float64Array(6) }],
      nodes: [
        { op: 'Cast', inputs: ['w'], outputs: ['v'], attributes: { to: 1 } },
        { op: 'Conv', name: 'conv', inputs: ['x', 'v'], outputs: ['c'] },
        { ...pooled, inputs: ['c'] },
        { op: 'Flatten', inputs: ['p'], outputs: ['y'] },
      ],
    });
    fails(write('doubles.onnx', doubles), 'UNSUPPORTED', /the weight 'w' is float64.*float32/);
    const map = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [{ name: 'y' }],
      initializers: [{ name: 'w', dims: [2, 3, 1, 1], data: new Float32Array(6) }],
      nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }],
    });
    fails(write('map.onnx', map), 'UNSUPPORTED', /\[3, 2, 8, 8\].*\[batch, classes\]/);
    const shared = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [{ name: 'y' }],
      initializers: [
        { name: 'ones', dims: [3], data: new Float32Array(3).fill(1) },
        { name: 'zeros', dims: [3], data: new Float32Array(3) },
      ],
      nodes: [
        { op: 'BatchNormalization', name: 'bn', inputs: ['x', 'ones', 'zeros', 'zeros', 'ones'], outputs: ['b'] },
        { ...pooled, inputs: ['b'] },
        { op: 'Flatten', inputs: ['p'], outputs: ['y'] },
      ],
    });
    const fact = /a weight and a running statistic at once.*--tie never/;
    fails(write('shared.onnx', shared), 'UNSUPPORTED', fact, 1, '--tie', 'always');
  });

  it('an operator without a gradient, with the nodes that lead to it', () => {
    const nodes = [
      { op: 'Reshape', name: 'columns', inputs: ['block2.relu', 'shape'], outputs: ['columns'] },
      {
        op: 'Col2Im',
        name: 'odd',
        inputs: ['columns', 'size', 'block'],
        outputs: ['inserted'],
      },
    ];
    const ints = (name: string, values: bigint[]) =>
      ({ name, type: 'int64', dims: [values.length], data: BigInt64Array.from(values) }) as const;
    const initializers = [ints('shape', [0n, 8n, 64n]), ints('size', [8n, 8n]), ints('block', [1n, 1n])];
    const path = inFolder('col2im.onnx');
    writeFileSync(path, tinyClassifier({ inserted: { nodes, initializers } }));
    fails(path, 'UNSUPPORTED', /Col2Im has no gradient.*'odd'.*'block2.relu'.*'columns'/);
  });

  it('a batch that the model holds fast', () => {
    const path = inFolder('fixed.onnx');
    const nodes = [
      {
        op: 'Concat',
        name: 'twice',
        inputs: ['block2.relu', 'block2.relu'],
        outputs: ['twice'],
        attributes: { axis: 0 },
      },
      {
        op: 'Slice',
        name: 'first',
        inputs: ['twice', 'zero', 'four'],
        outputs: ['inserted'],
      },
    ];
    const ints = (name: string, value: bigint) =>
      ({ name, type: 'int64', dims: [1], data: BigInt64Array.of(value) }) as const;
    writeFileSync(path, tinyClassifier({ inserted: { nodes, initializers: [ints('zero', 0n), ints('four', 4n)] } }));
    fails(path, 'UNSUPPORTED', /\[4, 3\] for a batch of 3/);
  });

  it.skipIf(!hasShared)('quantized models and files that are none (../shared/data/models/refuse)', () => {
    const refuse = (name: string): string => modelPath(join('refuse', name));
    for (const name of [
      'cifar10-resnet8-qdq-op13',
      'cifar10-tinycnn-qlinear-op18',
      'imagenet-mobilenetv2-qlinear-op12',
    ]) {
      fails(refuse(`${name}.onnx`), 'UNSUPPORTED', /the model is quantized/);
    }
    fails(refuse('html-page-saved-as-mobilenet_v2.onnx'), 'FORMAT', /web page/);
    fails(refuse('resnet50-external-data-missing.onnx'), 'EXTERNAL_DATA', /is missing/);
  });
});

describe.skipIf(!hasGoldens)('the nets of ../shared/golden', () => {
  it.each(nets)('%s', async (name) => {
    const golden = readGolden(name);
    const output = inFolder(`golden-${name}`);
    const steps: string[] = [];
    await writeArtifacts(golden.modelPath, output, {
      settings: golden.settings,
      onProgress: (done, total, detail) => {
        expect(done).toBeLessThan(total);
        steps.push(detail);
      },
    });
    expect(steps.slice(0, 3)).toEqual([golden.modelPath, 'the gradient graph', 'the eval graph']);
    expect(steps.slice(-5).sort()).toEqual(readdirSync(output).sort());
    const manifest = checkManifest(output, golden.modelPath);
    const decayed = manifest.parameters.filter(({ decay }) => decay).map((parameter) => parameter.name);
    const { decayed: expected } = golden.meta.optimizer;
    expect(decayed.sort()).toEqual([...expected].sort());
    const pairs = new Map<string, string[]>();
    for (const { name: factor, pair, factors, decay } of manifest.parameters) {
      expect(factors?.includes(factor) ?? null).toBe(pair === null ? null : true);
      if (pair === null) continue;
      if (golden.settings.frobeniusDecay > 0) expect(decay, factor).toBe(false);
      pairs.set(pair, [...(pairs.get(pair) ?? []), factor]);
    }
    if (golden.meta.frobenius === undefined) return;
    expect([...pairs.values()].map((factors) => factors.sort().join(' ')).sort()).toEqual(
      golden.meta.frobenius.pairs.map((factors) => [...factors].sort().join(' ')).sort(),
    );
  });
});

describe('an open batch', () => {
  /** Numbers in [−1, 1] that differ everywhere. */
  const noise = (length: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => (((i + 1) * 2654435761) % 2 ** 32) / 2 ** 31 - 1);

  async function compare(
    model: string,
    batches: readonly number[],
    { imageSize, ...dropped }: { imageSize?: number; dropout?: number; dropPath?: number } = {},
  ): Promise<ArtifactsManifest> {
    const output = inFolder(`open-${batches.join('-')}-${Math.random().toString(36).slice(2)}`);
    const settings = { ...defaultGraphSettings, labelSmoothing: 0.1, ...dropped };
    const sized = imageSize === undefined ? {} : { imageSize };
    const manifest = await writeArtifacts(model, output, { settings: { ...settings, ...sized } });
    const prepared = prepareTraining(model, { settings, ...sized });
    const driver = await loadDriver();
    const { tensors } = readSafetensors(join(output, manifest.initial.file));
    const vector = (name: string): RuntimeTensor => {
      const data = tensors.get(name)!.data as Float32Array;
      return { type: 'float32', dims: [data.length], data };
    };
    const size = manifest.imageShape.reduce((product, dim) => product * dim, 1);
    for (const part of ['gradient', 'eval'] as const) {
      const { file, inputs, outputs } = manifest[part];
      const open = await driver.createSession(readFileSync(join(output, file)));
      for (const batch of batches) {
        const emit = { batch, isBatchOpen: false };
        const own = part === 'gradient' ? buildGradientGraph(prepared, settings, emit) : buildEvalGraph(prepared, emit);
        const closed = await driver.createSession(own.bytes());
        const feeds: Record<string, RuntimeTensor> = {
          [inputs.parameters]: vector('parameters'),
          [inputs.statistics]: vector('statistics'),
          [inputs.images]: { type: 'float32', dims: [batch, ...manifest.imageShape], data: noise(batch * size) },
          [inputs.labels!]: {
            type: 'int64',
            dims: [batch],
            data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % manifest.classes!)),
          },
        };
        for (const { name, shape, ratio } of part === 'gradient' ? manifest.masks : []) {
          const dims = [batch, ...shape];
          const data = noise(dims.reduce((product, dim) => product * dim, 1));
          feeds[name] = { type: 'float32', dims, data: data.map((x) => ((x + 1) / 2 < ratio ? 0 : 1 / (1 - ratio))) };
        }
        const [a, b] = [await open.run(feeds), await closed.run(feeds)];
        for (const name of Object.values(outputs)) {
          const [x, y] = [a[name]!, b[name]!];
          expect(x.dims, `${name}, batch ${batch}`).toEqual(y.dims);
          // The same operators on the same numbers; onnxruntime may fuse and order sums otherwise: some roundings of the
          // largest element, 2⁻²⁴ each, over sums of up to a million terms in blocks.
          const values = Array.from(x.data as Float32Array, Number);
          const expected = Array.from(y.data as Float32Array, Number);
          const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const error = values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
          expect(error, `${name}, batch ${batch}, largest ${largest}`).toBeLessThanOrEqual(1e-5 * largest);
          expect(values.every(Number.isFinite), `${name}, batch ${batch}`).toBe(true);
        }
        await closed.close();
      }
      await open.close();
    }
    prepared.model.file?.close();
    return manifest;
  }

  it('is refused where a graph depends on it, naming the node', async () => {
    const prepared = prepareTraining(tiny, { settings: defaultGraphSettings });
    const emitAt = (batch: number) => buildGradientGraph(prepared, defaultGraphSettings, { batch, isBatchOpen: false });
    const failure = await failureOf('UNSUPPORTED', () => requireSameGraph(emitAt(3), emitAt(5)));
    expect(failure.remedy).toBe('give --batch-size');
    expect(failure.place).toMatch(/^[A-Z]\w+ '/);
    requireSameGraph(emitAt(4), emitAt(4));
    prepared.model.file?.close();
  });

  it('Dropout and BatchNormalization', async () => {
    await compare(tiny, [2, 4, 8]);
  });

  it('dropout and stochastic depth, whose masks the manifest names', async () => {
    const { masks, gradient } = await compare(tiny, [2, 4, 8], { dropout: 0.5, dropPath: 0.25 });
    expect(masks.map(({ name }) => name)).toEqual(gradient.inputs.masks);
    const described = masks.map(({ shape, ratio }) => [shape.reduce((product, dim) => product * dim, 1), ratio]);
    // Linear in depth over the two residual blocks, one number for a sample; then one for each input of the dense layer.
    expect(described).toEqual([
      [1, 0.125],
      [1, 0.25],
      [8, 0.5],
    ]);
  });

  // One image too: BatchNormalization sees maps there. Of a single value per channel it has no variance.
  it.skipIf(!hasGoldens).each(nets)('golden %s', async (name) => {
    await compare(readGolden(name).modelPath, [1, 2, 4, 8]);
  });

  const real: readonly [string, readonly number[], number?][] = [
    ['cifar10-marabou-medium-tf2onnx1.8-op9-nhwc.onnx', [1, 2, 4, 8]],
    ['cifar10-vit-pgd-pt2.0-op9.onnx', [2, 4, 8]],
    ['mnist-lenet-onnxmltools-op11.onnx', [1, 2, 4, 8]],
    ['mnist-mlp-pt2.3-op17.onnx', [1, 2, 4]],
    ['cifar10-tinycnn-op18.onnx', [1, 2, 4]],
    ['ppocr-cls-mobilenetv3-paddle-op10.onnx', [2, 4], 32],
    ['efficientnet_b0-14cls-pt2.9-op18/efficientnet_b0.onnx', [2, 3], 64],
  ];
  it.skipIf(!hasShared).each(real)('%s', async (name, batches, imageSize) => {
    await compare(modelPath(name), batches, imageSize === undefined ? {} : { imageSize });
  });
});

describe.skipIf(!hasGoldens)('the examples reproduce the golden losses and weights', () => {
  const output = inFolder('example');
  const golden = hasGoldens ? readGolden('convnet-bn') : undefined!;
  beforeAll(() => {
    const { labelSmoothing, weightDecay, momentum, decay } = golden.settings;
    const numbers = [
      '--label-smoothing',
      `${labelSmoothing}`,
      '--weight-decay',
      `${weightDecay}`,
      '--momentum',
      `${momentum}`,
    ];
    artifacts(golden.modelPath, output, ...numbers, ...decay!.flatMap((name) => ['--decay', name]));
  });

  function check(program: string, artifactsFolder: string, example: string): void {
    const trained = inFolder(`${basename(artifactsFolder)}-${basename(example)}.safetensors`);
    const { steps, tensors } = golden.meta;
    const data = join(golden.modelPath, '../steps.safetensors');
    const options = ['--data', data, '--steps', String(steps), '--lr', String(golden.learningRate(0)), '-o', trained];
    const { status, stdout, stderr } = spawnSync(program, [example, artifactsFolder, ...options], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const losses = [...stdout.matchAll(/^step \d+: loss ([\d.e-]+)/gm)].map(([, loss]) => Number(loss));
    const expected = golden.results.tensors.get('losses')!.data as Float64Array;
    expect(losses).toHaveLength(steps);
    losses.forEach((loss, i) => expect(Math.abs(loss - expected[i]!)).toBeLessThanOrEqual(tensors['losses']!.atol));
    const weights = readSafetensors(trained).tensors;
    const names = [...golden.results.tensors.keys()].filter((key) => key.startsWith(`param${steps}/`));
    expect(weights.size).toBe(names.length);
    for (const key of names) {
      const { data: wanted } = golden.results.tensors.get(key)!;
      const { data: got } = weights.get(key.slice(key.indexOf('/') + 1))!;
      const error = Array.from(got, Number).reduce((most, x, i) => Math.max(most, Math.abs(x - Number(wanted[i]))), 0);
      expect(error, key).toBeLessThanOrEqual(tensors[key]!.atol);
    }
  }

  it('examples/train.mjs with the graphs of --target cpu', async () => {
    const { settings, labels } = golden;
    const fast = inFolder('example-cpu');
    await writeArtifacts(golden.modelPath, fast, {
      settings: { ...settings, target: 'cpu', batchSize: labels.length },
    });
    check(process.execPath, fast, 'examples/train.mjs');
  });

  it('examples/train.mjs', () => check(process.execPath, output, 'examples/train.mjs'));

  it.skipIf(python === undefined)('examples/train.py (needs a Python with onnxruntime: LOWRANK_PYTHON)', () =>
    check(python!, output, 'examples/train.py'),
  );
});
