import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AgreementReport } from '../../src/contracts/agreement.js';
import { measureAgreement, type AgreementOptions } from '../../src/evaluate/measure-agreement.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { encoder, temporaryFolder, writeTree } from '../data/support/images.js';
import { expectFailure, run } from '../support/command.js';
import { buildModel, type TestModel } from '../support/models.js';
import { hasShared, modelPath, sharedFolder } from '../support/shared.js';

/**
 * Models that begin with a convolution of one pixel, and pictures of their size: all that they give is worked out here from
 * the bytes of the pictures.
 */
const folder = temporaryFolder();
const [side, channels, pictures] = [8, 4, 5];
const pixels = side * side;

const normal = (name: string, count: number, scale: number): Float32Array => {
  const values = new Float32Array(count);
  fillTruncatedNormal(randomStream(3, name), values, 0, scale);
  return values;
};

/** RGB bytes of each picture, in patches so that its mean is its own. */
const bytes = Array.from({ length: pictures }, (_, picture) => {
  const tint = normal(`tint ${picture}`, 3, 80);
  const noise = normal(`noise ${picture}`, pixels * 3, 50);
  return Uint8Array.from(noise, (value, at) => Math.max(0, Math.min(255, 128 + tint[at % 3]! + value)));
});
const files: Record<string, Uint8Array> = {};
for (const [index, data] of bytes.entries()) {
  files[`${index}.png`] = await encoder({ data, width: side, height: side }).png().toBuffer();
}
const data = writeTree(join(folder, 'pictures'), files);

const weight = normal('weight', channels * 3, 1);
const moved = Float32Array.from(normal('moved', channels * 3, 0.7), (value, at) => weight[at]! + value);
const weights = { original: weight, small: moved } as const;
type Which = keyof typeof weights;

let models = 0;

/** The convolution before `nodes`, of which the outputs are those of the model. */
function headed(
  which: Which,
  parts: Pick<TestModel, 'nodes' | 'outputs'> & Partial<TestModel>,
  batch: number | string = 'n',
): string {
  const path = join(folder, `${which}-${models++}.onnx`);
  const bytesOfModel = buildModel({
    inputs: [{ name: 'x', dims: [batch, 3, side, side] }],
    ...parts,
    nodes: [{ op: 'Conv', inputs: ['x', 'stem.weight'], outputs: ['stem'] }, ...parts.nodes],
    initializers: [
      { name: 'stem.weight', dims: [channels, 3, 1, 1], data: weights[which] },
      ...(parts.initializers ?? []),
    ],
  });
  writeFileSync(path, bytesOfModel);
  return path;
}

const pooled = [
  { op: 'GlobalAveragePool', inputs: ['stem'], outputs: ['pool'] },
  { op: 'Flatten', inputs: ['pool'], outputs: ['flat'] },
] as const;

const classifier = (which: Which, end?: 'Softmax' | 'Sigmoid' | 'ArgMax', batch?: number | string): string =>
  headed(
    which,
    end === undefined
      ? { nodes: pooled, outputs: [{ name: 'flat', dims: [batch ?? 'n', channels] }] }
      : end === 'ArgMax'
        ? {
            nodes: [
              ...pooled,
              { op: 'ArgMax', inputs: ['flat'], outputs: ['class'], attributes: { axis: 1, keepdims: 0 } },
            ],
            outputs: [{ name: 'class', type: 'int64', dims: ['n'] }],
          }
        : {
            nodes: [...pooled, { op: end, inputs: ['flat'], outputs: ['end'] }],
            outputs: [{ name: 'end', dims: [batch ?? 'n', channels] }],
          },
    batch,
  );

/** Classes of pixels: their numbers, the largest of them, or both. */
const segmenter = (which: Which, outputs: readonly ('stem' | 'map')[], keepdims = 0): string =>
  headed(which, {
    nodes: [{ op: 'ArgMax', inputs: ['stem'], outputs: ['map'], attributes: { axis: 1, keepdims } }],
    outputs: outputs.map((name) =>
      name === 'stem'
        ? { name, dims: ['n', channels, side, side] }
        : { name, type: 'int64', dims: keepdims === 1 ? ['n', 1, side, side] : ['n', side, side] },
    ),
  });

const embedding = (which: Which, name = 'vector'): string =>
  headed(which, {
    nodes: [...pooled, { op: 'LpNormalization', inputs: ['flat'], outputs: [name], attributes: { axis: 1, p: 2 } }],
    outputs: [{ name, dims: ['n', channels] }],
  });

/** Boxes and scores, of which the file keeps those that do not overlap. */
const detector = (which: Which): string =>
  headed(which, {
    nodes: [
      { op: 'Reshape', inputs: ['stem', 'boxes.shape'], outputs: ['boxes'] },
      { op: 'Sigmoid', inputs: ['stem'], outputs: ['confident'] },
      { op: 'Reshape', inputs: ['confident', 'scores.shape'], outputs: ['scores'] },
      { op: 'NonMaxSuppression', inputs: ['boxes', 'scores', 'most'], outputs: ['chosen'] },
    ],
    outputs: [{ name: 'chosen', type: 'int64', dims: ['k', 3] }],
    initializers: [
      { name: 'boxes.shape', type: 'int64', dims: [3], data: BigInt64Array.of(0n, 64n, 4n) },
      { name: 'scores.shape', type: 'int64', dims: [3], data: BigInt64Array.of(0n, 4n, 64n) },
      { name: 'most', type: 'int64', dims: [1], data: BigInt64Array.of(3n) },
    ],
  });

const settings: AgreementOptions['settings'] = { normalization: 'unit', workers: 0, threads: 1, batchSize: 2 };

const measure = (model: string, versus: string, more: Partial<AgreementOptions> = {}): Promise<AgreementReport> =>
  measureAgreement({ model, versus, data, ...more, settings: { ...settings, ...more.settings } });

/** What the convolution gives for each picture: [channels, pixels]. */
const stems = (which: Which): number[][] =>
  bytes.map((picture) =>
    Array.from({ length: channels * pixels }, (_, at) => {
      const [channel, pixel] = [Math.floor(at / pixels), at % pixels];
      return [0, 1, 2].reduce(
        (sum, color) => sum + (weights[which][channel * 3 + color]! * picture[pixel * 3 + color]!) / 255,
        0,
      );
    }),
  );

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const norm = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
const pools = (which: Which): number[][] =>
  stems(which).map((stem) =>
    Array.from({ length: channels }, (_, k) => mean(stem.slice(k * pixels, (k + 1) * pixels))),
  );
const largest = (values: readonly number[]): number => values.indexOf(Math.max(...values));
const mapsOf = (which: Which): number[][] =>
  stems(which).map((stem) =>
    Array.from({ length: pixels }, (_, pixel) =>
      largest(Array.from({ length: channels }, (__, k) => stem[k * pixels + pixel]!)),
    ),
  );

/** Mean of numbers of pictures, and its interval by the central limit theorem. */
function meanOfPictures(values: readonly number[]) {
  const average = mean(values);
  const variance = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / (values.length - 1);
  const half = 1.959963984540054 * Math.sqrt(variance / values.length);
  return { mean: average, low: average - half, high: average + half };
}

function expectMean(found: AgreementReport['kl'], values: readonly number[], digits = 5): void {
  const should = meanOfPictures(values);
  expect(found!.mean).toBeCloseTo(should.mean, digits);
  expect(found!.ci95![0]).toBeCloseTo(Math.max(0, should.low), digits);
  expect(found!.ci95![1]).toBeCloseTo(should.high, digits);
}

const errorsOf = (original: readonly number[][], small: readonly number[][]): number[] =>
  original.map((was, picture) => norm(was.map((value, at) => small[picture]![at]! - value)) / norm(was));

describe('measureAgreement', () => {
  const [was, is] = [pools('original'), pools('small')];
  const same = was.filter((row, picture) => largest(row) === largest(is[picture]!)).length;
  const softmax = (row: readonly number[]): number[] => {
    const powers = row.map(Math.exp);
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  };
  const divergences = was.map((row, picture) => {
    const other = softmax(is[picture]!);
    return softmax(row).reduce((sum, p, k) => sum + p * Math.log(p / other[k]!), 0);
  });

  it('compares classes and numbers of classifiers', async () => {
    const report = await measure(classifier('small'), classifier('original'));
    expect(same).toBeGreaterThan(0);
    expect(same).toBeLessThan(pictures);
    expect(report).toMatchObject({ schema: 'lowrank.agreement/1', images: pictures, top1: { share: same / pictures } });
    const [z, p] = [1.959963984540054, same / pictures];
    const centre = (p + z ** 2 / (2 * pictures)) / (1 + z ** 2 / pictures);
    const half = (z * Math.sqrt((p * (1 - p)) / pictures + z ** 2 / (4 * pictures ** 2))) / (1 + z ** 2 / pictures);
    expect(report.top1!.ci95[0]).toBeCloseTo(centre - half, 10);
    expect(report.top1!.ci95[1]).toBeCloseTo(centre + half, 10);
    expectMean(report.kl, divergences);
    expect(report.outputs).toMatchObject([{ name: 'flat', shape: [channels], map: null, label: null }]);
    expectMean(report.outputs[0]!.relativeError, errorsOf(was, is));
    expect(report.warnings).toEqual([]);
  });

  it('takes files of fixed batches, of another one each', async () => {
    const report = await measure(classifier('small', undefined, 1), classifier('original', undefined, 3));
    expectMean(report.kl, divergences);
    expectMean(report.outputs[0]!.relativeError, errorsOf(was, is));
    expect(report).toMatchObject({ images: pictures, top1: { share: same / pictures }, warnings: [] });
  });

  it('compares classes of logits with those of probabilities, and says that their numbers are others', async () => {
    const report = await measure(classifier('small', 'Softmax'), classifier('original'));
    expectMean(report.kl, divergences);
    expect(report).toMatchObject({ top1: { share: same / pictures }, outputs: [] });
    expect(report.leftOut).toEqual([
      { name: 'flat', reason: expect.stringMatching(/end as logits .* and as softmax/) as string },
    ]);
    expect(report.warnings).toEqual([expect.stringContaining('other names'), expect.stringContaining("'flat'")]);
    const sigmoid = await measure(classifier('small', 'Sigmoid'), classifier('original', 'Sigmoid'));
    expect(sigmoid.top1).toBeNull();
    expect(sigmoid.kl!.mean).toBeGreaterThan(0);
  });

  it('compares classes that a file gives as numbers', async () => {
    const report = await measure(classifier('small', 'ArgMax'), classifier('original', 'ArgMax'));
    expect(report).toMatchObject({ top1: { share: same / pictures }, kl: null });
    expect(report.outputs).toMatchObject([{ name: 'class', relativeError: null, label: { share: same / pictures } }]);
  });

  it('compares maps of classes, as numbers of classes and as the largest of them', async () => {
    const [before, after] = [mapsOf('original'), mapsOf('small')];
    const ious = Array.from({ length: channels }, (_, k) => {
      let [both, either] = [0, 0];
      for (const [picture, map] of before.entries()) {
        for (const [pixel, value] of map.entries()) {
          const other = after[picture]![pixel]!;
          if (value === k && other === k) both++;
          if (value === k || other === k) either++;
        }
      }
      return { both, either, isThere: before.some((map) => map.includes(k)) };
    }).filter(({ isThere }) => isThere);
    const should = { classes: ious.length, meanIoU: mean(ious.map(({ both, either }) => both / either)) };
    expect(should.meanIoU).toBeLessThan(1);
    const shares = before.map((map, picture) => mean(map.map((value, at) => (value === after[picture]![at] ? 1 : 0))));
    for (const keepdims of [0, 1]) {
      const outputs = ['stem', 'map'] as const;
      const report = await measure(segmenter('small', outputs, keepdims), segmenter('original', outputs, keepdims));
      expect(report).toMatchObject({ top1: null, kl: null, warnings: [] });
      expect(report.outputs.map(({ name }) => name)).toEqual(['stem', 'map']);
      for (const { map } of report.outputs) {
        expect(map!.classes).toBe(should.classes);
        expect(map!.meanIoU).toBeCloseTo(should.meanIoU, 12);
        const { mean: share, low, high } = meanOfPictures(shares);
        expect(map!.pixels.mean).toBeCloseTo(share, 12);
        expect(map!.pixels.ci95![0]).toBeCloseTo(Math.max(0, low), 12);
        expect(map!.pixels.ci95![1]).toBeCloseTo(Math.min(1, high), 12);
      }
      expectMean(report.outputs[0]!.relativeError, errorsOf(stems('original'), stems('small')));
      expect(report.outputs[1]!.relativeError).toBeNull();
    }
  });

  it('compares embeddings, which have no classes, by place where names differ', async () => {
    const unit = (rows: readonly number[][]): number[][] => rows.map((row) => row.map((value) => value / norm(row)));
    const report = await measure(embedding('small', 'e'), embedding('original'));
    expect(report).toMatchObject({ top1: null, kl: null, outputs: [{ name: 'vector', map: null }] });
    expectMean(report.outputs[0]!.relativeError, errorsOf(unit(was), unit(is)));
    expect(report.warnings).toEqual([expect.stringContaining('have other names')]);
  });

  it('compares what detections are made of, and says so', async () => {
    const report = await measure(detector('small'), detector('original'));
    const [before, after] = [stems('original'), stems('small')];
    const sigmoid = (rows: readonly number[][]): number[][] =>
      rows.map((row) => row.map((value) => 1 / (1 + Math.exp(-value))));
    expect(report.outputs).toMatchObject([
      { name: 'boxes', shape: [64, 4], insteadOf: ['chosen'], map: null },
      { name: 'scores', shape: [4, 64], insteadOf: ['chosen'], map: null },
    ]);
    expectMean(report.outputs[0]!.relativeError, errorsOf(before, after));
    expectMean(report.outputs[1]!.relativeError, errorsOf(sigmoid(before), sigmoid(after)));
    expect(report.leftOut.map(({ name }) => name)).toEqual(['chosen']);
    expect(report.warnings).toEqual([
      expect.stringMatching(
        /'chosen' of .* not compared by position, for what NonMaxSuppression gives .*: what it is made of is, 'boxes', 'scores'$/,
      ),
    ]);
  });

  it.each([
    ['a classifier', classifier('original'), { top1: { share: 1 }, kl: { mean: 0, ci95: [0, 0] } }],
    ['a segmenter', segmenter('original', ['stem', 'map']), {}],
    ['an embedding', embedding('original'), {}],
    ['a detector', detector('original'), {}],
  ])('is whole for a model and itself: %s', async (_, model, also) => {
    const report = await measure(model, model);
    expect(report).toMatchObject({ images: pictures, ...also });
    for (const { relativeError, map } of report.outputs) {
      if (relativeError !== null) expect(relativeError).toEqual({ mean: 0, ci95: [0, 0] });
      if (map !== null) expect(map).toMatchObject({ meanIoU: 1, pixels: { mean: 1, ci95: [1, 1] } });
    }
  });

  it('takes so many pictures only, and one alone without an interval', async () => {
    const seen: string[] = [];
    const report = await measure(classifier('small'), classifier('original'), {
      settings: { limit: 1 },
      onProgress: ({ done, total }) => seen.push(`${done}/${total}`),
    });
    expect(report).toMatchObject({ images: 1, kl: { ci95: null }, outputs: [{ relativeError: { ci95: null } }] });
    expect(seen).toEqual(['1/1']);
  });

  it('leaves out what cannot be compared, and says why', async () => {
    const twice = (which: Which, op: 'Sub' | 'Add', extra: boolean): string =>
      headed(which, {
        nodes: [
          ...pooled,
          { op, inputs: ['flat', 'flat'], outputs: ['second'] },
          { op: 'Shape', inputs: ['stem'], outputs: ['shape'] },
        ],
        outputs: [
          { name: 'flat', dims: ['n', channels] },
          { name: 'second', dims: ['n', channels] },
          ...(extra ? [{ name: 'shape', type: 'int64', dims: [4] } as const] : []),
        ],
      });
    const report = await measure(twice('small', 'Add', false), twice('original', 'Sub', true));
    expect(report.outputs.map(({ name }) => name)).toEqual(['flat']);
    expect(report.leftOut.map(({ name }) => name)).toEqual(['shape', 'second']);
    expect(report.warnings).toEqual([
      expect.stringMatching(/'shape' .* has no such output/),
      expect.stringMatching(/'second' .* is 0 or not finite on all pictures/),
    ]);
    await expect(measure(segmenter('small', ['map']), detector('original'))).rejects.toThrow(
      /no output can be compared: 'chosen', what NonMaxSuppression gives is another for each picture/,
    );
    await expect(measure(classifier('small', 'ArgMax'), segmenter('original', ['stem']))).rejects.toThrow(
      /no output can be compared: 'stem', it is/,
    );
  });
});

describe('lowrank eval --match', () => {
  const [small, original] = [classifier('small'), classifier('original')];
  const match = (...words: readonly string[]) => run('eval', small, '--data', data, '--match', ...words);

  it('prints what was compared, and the document', () => {
    const { code, stdout, stderr } = match('--vs', original, '--normalization', 'unit');
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('normalization unit') as string,
    });
    expect(stdout).toMatch(/small-\d+\.onnx against .*original-\d+\.onnx/);
    expect(stdout).toMatch(/^output +shape +relative error +95 %/m);
    expect(stdout).toMatch(/^same class +\S+ % {2}\(95 %: /m);
    expect(stdout).toMatch(/^KL +\S+ nats {2}\(95 %: /m);
    const json = match('--vs', original, '--limit', '3', '--json', '--quiet');
    expect(json.stderr).toBe('');
    expect(JSON.parse(json.stdout)).toMatchObject({ schema: 'lowrank.agreement/1', images: 3 });
  });

  it.each([
    ['no other model', [], /--match does nothing without --vs/],
    ['a class list', ['--vs', original, '--classes', 'classes.txt'], /--classes does not go with --match/],
    ['a page', ['--vs', original, '--report', 'page.html'], /--report does not go with --match/],
  ] as const)('refuses %s', (_, words, text) => {
    expectFailure(match(...words), 'USAGE', text, 2);
  });

  it('refuses models of other pictures, and of no colors', () => {
    const build = (dims: readonly (number | string)[], name: string): string => {
      const path = join(folder, name);
      const node = { op: 'GlobalAveragePool', inputs: ['x'], outputs: ['y'] };
      writeFileSync(
        path,
        buildModel({ inputs: [{ name: 'x', dims }], outputs: [{ name: 'y', dims: ['n', 3, 1, 1] }], nodes: [node] }),
      );
      return path;
    };
    expectFailure(
      match('--vs', build(['n', 3, 16, 16], 'large.onnx')),
      'USAGE',
      /\[3, 8, 8\], and .* of \[3, 16, 16\]/,
      2,
    );
    expectFailure(match('--vs', build(['n', 1, 8, 8], 'grey.onnx')), 'USAGE', /\[3, 8, 8\], and .* of \[1, 8, 8\]/, 2);
    expectFailure(match('--vs', build(['n', 4, 8, 8], 'four.onnx')), 'USAGE', /\[3, 8, 8\], and .* of \[4, 8, 8\]/, 2);
  });
});

describe.skipIf(!hasShared)('the agreement of real models', () => {
  const photos = join(sharedFolder, 'data/images/flowers');
  it.each([
    ['ppocr-cls-mobilenetv3-paddle-op10.onnx', true],
    ['reid-seresnet-pt2.11-op18/best_model.onnx', false],
  ])('%s: is whole with itself', async (name, isClassifier) => {
    const report = await measure(modelPath(name), modelPath(name), { data: photos, settings: { limit: 2 } });
    expect(report.images).toBe(2);
    expect(report.outputs[0]!.relativeError).toEqual({ mean: 0, ci95: [0, 0] });
    if (isClassifier) expect(report.top1!.share).toBe(1);
  });
});
