// The main job on a fresh machine, without any other file: a ResNet is created, trained on images drawn here, converted,
// verified, inspected, fine-tuned and evaluated. Ends with one table.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { drawImages, side } from './demo-images.js';

const folder = 'demo-output';
process.chdir(fileURLToPath(new URL('..', import.meta.url)));
mkdirSync(folder, { recursive: true });
const started = performance.now();

/** Runs a command line as a user would; gives its JSON document where it is asked for one. */
function lowrank(line) {
  process.stdout.write(`\n$ lowrank ${line}\n`);
  const words = line.split(' ');
  const isJson = words.includes('--json');
  const { status, stdout } = spawnSync(process.execPath, ['bin/lowrank.js', ...words], {
    stdio: ['inherit', isJson ? 'pipe' : 'inherit', 'inherit'],
    maxBuffer: 2 ** 28,
    encoding: 'utf8',
  });
  if (status !== 0) process.exit(status ?? 1);
  return isJson ? JSON.parse(stdout) : undefined;
}

const full = `${folder}/resnet18.onnx`;
const trained = `${folder}/resnet18.trained.onnx`;
const small = `${folder}/resnet18.lowrank.onnx`;
const tuned = `${folder}/resnet18.tuned.onnx`;
const images = `${folder}/images`;
const data = `--data ${images}`;
const training = `${data} --batch-size 16 --min-scale 0.5 --force`;

process.stdout.write(`drawing images into ${images}\n`);
const classes = await drawImages(images, { train: 150, val: 50 });

lowrank(`create resnet18 -o ${full} --image-size ${side} --num-classes ${classes} --force`);
lowrank(`train ${full} -o ${trained} ${training} --normalization symmetric --epochs 4 --lr 0.02 --warmup 0.5 --json`);
const converted = lowrank(`convert ${trained} -o ${small} --latency --report ${folder}/report.html --force --json`);
lowrank(`inspect ${small} --no-spectrum`);
lowrank(`train ${small} -o ${tuned} ${training} --preset fine-tune --epochs 2 --report ${folder}/training.html --json`);
const before = lowrank(`eval ${trained} ${data} --json`);
const after = lowrank(`eval ${small} ${data} --json`);
const finetuned = lowrank(`eval ${tuned} ${data} --vs ${trained} --report ${folder}/evaluation.html --force --json`);

const { params, macs, latencyMs } = converted.totals;
const count = (value) => `${(value / 1e6).toFixed(1)} M`;
const row = (name, side, top1) =>
  [
    name.padEnd(12),
    count(params[side]).padStart(11),
    count(macs[side]).padStart(9),
    `${latencyMs[side].toFixed(1)} ms`.padStart(9),
    `${(100 * top1).toFixed(1)} %`.padStart(8),
  ].join('  ');
process.stdout.write(
  [
    '',
    `${''.padEnd(12)}  ${'parameters'.padStart(11)}  ${'MACs'.padStart(9)}  ${'measured'.padStart(9)}  ${'top-1'.padStart(8)}`,
    row('original', 'before', before.top1),
    row('converted', 'after', after.top1),
    row('fine-tuned', 'after', finetuned.top1),
    '',
    `Done in ${Math.round((performance.now() - started) / 1000)} s. Reports to open in any browser: ${folder}/report.html (conversion), ${folder}/training.html, ${folder}/evaluation.html.`,
    '',
  ].join('\n'),
);
