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

/** Runs a command as a user would, and gives its JSON document where `isJson`. */
function run(isJson, command, ...args) {
  process.stdout.write(`\n$ lowrank ${command} ${args.join(' ')}\n`);
  const { status, stdout } = spawnSync(
    process.execPath,
    ['bin/lowrank.js', command, ...args, ...(isJson ? ['--json'] : [])],
    {
      stdio: ['inherit', isJson ? 'pipe' : 'inherit', 'inherit'],
      maxBuffer: 2 ** 28,
      encoding: 'utf8',
    },
  );
  if (status !== 0) process.exit(status ?? 1);
  return isJson ? JSON.parse(stdout) : undefined;
}

const full = `${folder}/resnet18.onnx`;
const trained = `${folder}/resnet18.trained.onnx`;
const small = `${folder}/resnet18.lowrank.onnx`;
const tuned = `${folder}/resnet18.tuned.onnx`;
const images = `${folder}/images`;
const input = ['--data', images, '--normalization', 'symmetric'];
const training = ['--batch-size', '16', ...training];

process.stdout.write(`drawing images into ${images}\n`);
const classes = await drawImages(images, { train: 150, val: 50 });

run(false, 'create', 'resnet18', '-o', full, '--image-size', String(side), '--num-classes', String(classes), '--force');
run(
  true,
  'train',
  full,
  '-o',
  trained,
  ...input,
  '--epochs',
  '4',
  '--lr',
  '0.02',
  '--warmup',
  '0.5',
  '--min-scale',
  '0.5',
  '--force',
);
const converted = run(
  true,
  'convert',
  trained,
  '-o',
  small,
  '--rank-scale',
  '0.25',
  '--latency',
  '--report',
  `${folder}/report.html`,
  '--force',
);
run(false, 'inspect', small, '--no-spectrum');
run(
  true,
  'train',
  small,
  '-o',
  tuned,
  ...input,
  '--preset',
  'fine-tune',
  '--epochs',
  '2',
  '--report',
  `${folder}/training.html`,
  ...training,
);

const before = run(true, 'eval', trained, ...input);
const after = run(true, 'eval', small, ...input);
const finetuned = run(true, 'eval', tuned, ...input, '--vs', trained, '--report', `${folder}/evaluation.html`);

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
