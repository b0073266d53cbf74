// How much a converted model agrees with its original before and behind a training towards it, on pictures that neither the
// conversion nor the training saw: classes, or the relative error of every output of what is no classifier. No labels.
// npm run bench -- agreement [--cases vit,reid,ppocr] [--budget 0.5] [--seeds 3] [--steps 600]
//   [--model any.onnx --pictures photos --val others --normalization imagenet]
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type AgreementReport, calibration, convert, measureAgreement, recover } from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { cases as models, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'vit,reid,ppocr' },
    budget: { type: 'string', default: '0.5' },
    seeds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '600' },
    images: { type: 'string', default: '200' },
    /** Another model, with pictures to learn from and to compare on. */
    model: { type: 'string' },
    pictures: { type: 'string' },
    val: { type: 'string' },
    normalization: { type: 'string', default: 'imagenet' },
  },
});

interface Case {
  readonly path: string;
  readonly fit: string;
  readonly val: string;
  readonly normalization: string;
  readonly batchSize: number;
}

interface Seen {
  readonly top1: number | null;
  /** Of every output, by name: mean over the pictures of ‖ŷ − y‖ / ‖y‖, and of maps the mean IoU. */
  readonly outputs: Readonly<Record<string, { readonly error: number | null; readonly meanIoU: number | null }>>;
}

interface Result {
  readonly model: string;
  readonly macsBudget: number;
  readonly steps: number;
  readonly seed: number;
  readonly n: number;
  readonly start: Seen;
  readonly recovered: Seen;
  readonly loss: { readonly start: number; readonly written: number };
  readonly seconds: number;
}

const folder = mkdtempSync(join(tmpdir(), 'lowrank-agreement-'));

/** Links to the n-th part of three of each folder of pictures. */
function part(source: string, name: string, belongs: (index: number) => boolean): string {
  const target = join(folder, name);
  for (const each of readdirSync(source)) {
    mkdirSync(join(target, each), { recursive: true });
    const files = readdirSync(join(source, each)).sort();
    for (const file of files.filter((_, index) => belongs(index))) {
      symlinkSync(resolve(source, each, file), join(target, each, file));
    }
  }
  return target;
}

function caseOf(name: string): Case {
  const imagenette = shared('images/imagenette-160/train');
  const photos = (): Pick<Case, 'fit' | 'val'> => ({
    fit: part(imagenette, `${name}-fit`, (index) => index < 60),
    val: shared('images/imagenette-160/val'),
  });
  const usual = { normalization: 'imagenet', batchSize: 16 };
  if (name === 'vit') {
    const { file, normalization, images } = models['vit']!;
    const { fit, val } = images(folder);
    return { path: shared(`models/${file}`), fit, val, normalization, batchSize: 32 };
  }
  if (name === 'reid')
    return { path: shared('models/reid-seresnet-pt2.11-op18/best_model.onnx'), ...photos(), ...usual };
  if (name === 'ppocr') return { path: shared('models/ppocr-cls-mobilenetv3-paddle-op10.onnx'), ...photos(), ...usual };
  const { model, pictures, val, normalization } = values;
  if (model === undefined || pictures === undefined || val === undefined) {
    throw new Error(`no case is called ${name}; give --model, --pictures and --val`);
  }
  return { path: model, fit: pictures, val, normalization, batchSize: 16 };
}

function seenOf({ top1, outputs }: AgreementReport): Seen {
  const each = outputs.map(({ name, relativeError, map }) => [
    name,
    { error: relativeError?.mean ?? null, meanIoU: map?.meanIoU ?? null },
  ]);
  return { top1: top1?.share ?? null, outputs: Object.fromEntries(each) };
}

const keyOf = ({ model, macsBudget, steps, seed }: Result): string => [model, macsBudget, steps, seed].join(' ');
const results = earlierResults<Result>('agreement', keyOf);

try {
  for (const name of values.model === undefined ? values.cases.split(',') : [values.model.split('/').at(-1)!]) {
    const { path, fit, val, normalization, batchSize } = caseOf(name);
    const [macsBudget, steps] = [Number(values.budget), Number(values.steps)];
    const start = join(folder, 'start.onnx');
    rmSync(start, { force: true });
    await convert(path, { output: start, macsBudget, verify: false, calibrate: calibration(fit, { normalization }) });
    const compare = async (model: string): Promise<AgreementReport> =>
      measureAgreement({ model, versus: path, data: val, settings: { normalization, limit: Number(values.images) } });
    const before = await compare(start);
    for (let seed = 0; seed < Number(values.seeds); seed++) {
      const output = join(folder, 'recovered.onnx');
      const settings = { steps, seed, batchSize, normalization };
      const report = await recover({ model: start, teacher: path, data: fit, output, force: true, settings });
      const after = await compare(output);
      const result: Result = {
        ...{ model: name, macsBudget, steps, seed, n: after.images },
        ...{ start: seenOf(before), recovered: seenOf(after) },
        loss: { start: report.start.loss, written: report.written!.loss },
        seconds: report.seconds.total,
      };
      results.set(keyOf(result), result);
      process.stdout.write(
        `${name} ${macsBudget} seed ${seed} (n = ${after.images}), ${report.seconds.total.toFixed(0)} s:\n`,
      );
      process.stdout.write(`  before ${JSON.stringify(result.start)}\n  after  ${JSON.stringify(result.recovered)}\n`);
      saveResult('agreement', { results: [...results.values()] });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
