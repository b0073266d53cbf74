// Top-1 on real images right after conversion, without fine-tuning: what each initialization keeps of a trained model.
// npm run bench -- top1 [--images 300] [--models resnet50v2,mobilenetv2] [--inits …] [--scales …]
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { convert, type ConvertReport, type InitName, loadDriver } from '../src/index.js';
import { saveResult, sharedFolder } from './support/bench.js';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '300' },
    models: { type: 'string', default: 'mobilenetv2,resnet50v2' },
    inits: { type: 'string', default: 'spectral,spectral-scaled,lfai,relu-svd,baseline' },
    scales: { type: 'string', default: '0.25,0.5,0.75' },
  },
});
const images = join(sharedFolder, 'data/images');
const mean = [0.485, 0.456, 0.406];
const deviation = [0.229, 0.224, 0.225];

interface Sample {
  readonly file: string;
  readonly label: number;
}

const classIndex = JSON.parse(readFileSync(join(images, 'imagenet_class_index.json'), 'utf8')) as Record<
  string,
  [string, string]
>;
const labelOf = new Map(Object.entries(classIndex).map(([index, [wnid]]) => [wnid, Number(index)]));

/** The validation folder, the same number of images of each class. */
function imagenette(label: (wnid: string, position: number) => number, count: number): Sample[] {
  const root = join(images, 'imagenette-160/val');
  const classes = readdirSync(root).sort();
  return classes.flatMap((wnid, position) =>
    readdirSync(join(root, wnid))
      .sort()
      .slice(0, Math.ceil(count / classes.length))
      .map((name) => ({ file: join(root, wnid, name), label: label(wnid, position) })),
  );
}

function imagenetSample(): Sample[] {
  const root = join(images, 'imagenet-sample');
  return readdirSync(root)
    .sort()
    .map((name) => ({ file: join(root, name), label: labelOf.get(name.split('_')[0]!) ?? -1 }));
}

const models = {
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    samples: () => imagenette((_, position) => position, Number(values.images)),
  },
  mobilenetv2: {
    file: 'mobilenetv2-imagenet-fp32-int8fc.onnx',
    samples: () => [...imagenetSample(), ...imagenette((wnid) => labelOf.get(wnid)!, Number(values.images))],
  },
};

/** Shorter side to 256, centre 224², ImageNet's mean and deviation. */
async function pixels(file: string): Promise<Float32Array> {
  const raw = await sharp(file)
    .resize(256, 256, { fit: 'outside', kernel: 'linear' })
    .toColourspace('srgb')
    .removeAlpha()
    .toBuffer({ resolveWithObject: true });
  const { width, height } = raw.info;
  const data = await sharp(raw.data)
    .extract({ left: (width - 224) >> 1, top: (height - 224) >> 1, width: 224, height: 224 })
    .raw()
    .toBuffer();
  const result = new Float32Array(3 * 224 * 224);
  const channels = data.length / (224 * 224);
  for (let i = 0; i < 224 * 224; i++) {
    for (let c = 0; c < 3; c++) {
      result[c * 224 * 224 + i] = (data[i * channels + (channels === 3 ? c : 0)]! / 255 - mean[c]!) / deviation[c]!;
    }
  }
  return result;
}

const driver = await loadDriver();

async function top1(model: string, inputs: readonly Float32Array[], labels: readonly number[]): Promise<number> {
  const session = await driver.createSession(model);
  const [input] = session.inputs;
  let correct = 0;
  for (const [index, data] of inputs.entries()) {
    const outputs = await session.run({ [input!.name]: { type: 'float32', dims: [1, 3, 224, 224], data } });
    const logits = Object.values(outputs)[0]!.data as Float32Array;
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
    // MobileNet's exports of 1,001 classes begin with "background".
    if (best - (logits.length === 1001 ? 1 : 0) === labels[index]) correct++;
  }
  await session.close();
  return correct / inputs.length;
}

/** Half width of the 95 % interval of a proportion. */
const halfWidth = (p: number, n: number): number => 1.96 * Math.sqrt((p * (1 - p)) / n);

const folder = mkdtempSync(join(tmpdir(), 'lowrank-top1-'));
const results: object[] = [];
try {
  for (const name of values.models.split(',') as (keyof typeof models)[]) {
    const { file, samples } = models[name];
    const path = join(sharedFolder, 'data/models', file);
    const list = samples();
    const inputs = await Promise.all(list.map((sample) => pixels(sample.file)));
    const labels = list.map((sample) => sample.label);
    const original = await top1(path, inputs, labels);
    const show = (what: string, accuracy: number, extra = ''): void => {
      process.stdout.write(
        `${name}  ${what.padEnd(24)} ${(100 * accuracy).toFixed(1)} % ± ${(100 * halfWidth(accuracy, list.length)).toFixed(1)}  ${extra}\n`,
      );
    };
    show('original', original, `n = ${list.length}`);
    results.push({
      model: name,
      init: 'original',
      rankScale: null,
      top1: original,
      ci95: halfWidth(original, list.length),
      n: list.length,
    });
    for (const scale of values.scales.split(',').map(Number)) {
      for (const init of values.inits.split(',') as InitName[]) {
        const output = join(folder, 'out.onnx');
        const report: ConvertReport = await convert(path, {
          output,
          force: true,
          init,
          rankScale: scale,
          verify: false,
        });
        const accuracy = await top1(output, inputs, labels);
        const { params, macs } = report.totals;
        show(`${init} ${scale}`, accuracy, `params ×${params.ratio.toFixed(3)} MACs ×${macs.ratio.toFixed(3)}`);
        results.push({
          model: name,
          init,
          rankScale: scale,
          top1: accuracy,
          ci95: halfWidth(accuracy, list.length),
          n: list.length,
          paramsRatio: params.ratio,
          macsRatio: macs.ratio,
        });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
saveResult('top1', { results });
