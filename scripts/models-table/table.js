// docs/models-table.md's table of exports: node scripts/models-table/table.js FOLDER, which export.py filled.
// Each file is converted with its weights alone, converted again with every layer at its full rank, and asked whether it
// can be trained (`train --explain`, which emits the gradient graph and checks an opened batch; no step is run). What was
// measured stays in FOLDER/table.json: files that are there are not tried again (with `print` behind FOLDER, none is). The
// section of the document is written anew.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const [folder, mode] = process.argv.slice(2);
const lowrank = fileURLToPath(new URL('../../bin/lowrank.js', import.meta.url));
const record = join(folder, 'table.json');
const results = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : {};
const minutes = 15;

/** One command with --json: what it printed, or the error it ended with. */
function run(...words) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [lowrank, ...words, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    timeout: minutes * 60_000,
  });
  if (status === 0) return { report: JSON.parse(stdout) };
  const error = /error\[[A-Z_]+\]: .*/.exec(stderr)?.[0];
  return { error: error ?? (status === null ? `no end after ${minutes} minutes` : `exit ${status}`) };
}

/** Ten classes of plain pictures. */
async function drawImages(path) {
  for (let label = 0; label < 10; label++) {
    mkdirSync(join(path, 'train', String(label)), { recursive: true });
    for (let i = 0; i < 2; i++) {
      const background = { r: 25 * label, g: 255 - 25 * label, b: 100 * i };
      const picture = sharp({ create: { width: 64, height: 64, channels: 3, background } });
      await picture.png().toFile(join(path, 'train', String(label), `${i}.png`));
    }
  }
}

/** One array for each of ten classes, of the shape that a model takes, where that is no color picture. */
function writeArrays(path, dims) {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(', ')}, ), }`;
  for (let label = 0; label < 10; label++) {
    const classFolder = join(path, 'train', String(label));
    mkdirSync(classFolder, { recursive: true });
    const numbers = Float32Array.from({ length: size }, (_, at) => Math.sin(at * (label + 1)));
    const head = Buffer.from(`\x93NUMPY\x01\0\0\0${header.padEnd(117)}\n`, 'latin1');
    head.writeUInt16LE(118, 8);
    for (const name of ['0.npy', '1.npy'])
      writeFileSync(join(classFolder, name), Buffer.concat([head, Buffer.from(numbers.buffer)]));
  }
  return path;
}

function measure(model, images) {
  const started = performance.now();
  const weights = ['--calibrate', 'none', '--init', 'spectral', '--force', '-o', join(folder, 'table.onnx')];
  const converted = run('convert', model, ...weights, '--rank-scale', '0.25');
  const seconds = (performance.now() - started) / 1000;
  const bigger = ['--rank-scale', '1', '--allow-bigger', '--no-keep-first', '--no-keep-last'];
  const full = run('convert', model, ...weights, ...bigger);
  const size = [
    ...(images.includes('arrays') ? [] : ['--normalization', 'imagenet']),
    '--batch-size',
    '4',
    '--epochs',
    '1',
  ];
  const trained = run('train', model, '--data', images, ...size, '--explain', '-o', join(folder, 'trained.onnx'));
  const { report } = converted;
  const kept = {};
  for (const { action, reason } of report?.layers ?? []) {
    if (action === 'kept') kept[reason] = (kept[reason] ?? 0) + 1;
  }
  return {
    error: converted.error ?? full.error,
    layers: report?.layers.length,
    factorized: report?.layers.filter(({ action }) => action === 'factorized').length,
    kept,
    fullRank: full.report?.verify?.relativeDiff,
    fullRankLayers: full.report?.layers.filter(({ action }) => action === 'factorized').length,
    trainable: trained.error ?? 'yes',
    ownBatch: trained.report?.warnings.some((line) => line.includes('at a time and its BatchNormalization stays')),
    seconds,
  };
}

/** "12 would not be smaller, 3 depthwise convolution". */
function keptText(kept) {
  const entries = Object.entries(kept).sort(([, a], [, b]) => b - a);
  return (
    entries.map(([reason, count]) => `${count} ${reason.replace(/ \(--.*\)$/, '').replaceAll('|', '/')}`).join('; ') ||
    '–'
  );
}

function row(name, { error, layers, factorized, kept, fullRank, fullRankLayers, trainable, ownBatch, seconds }) {
  if (layers === undefined) return `| ${name} | – | – | ${error} | – | ${trainable} | ${seconds.toFixed(1)} |`;
  const exact = fullRank === undefined ? (error ?? '–') : `${fullRank.toExponential(1)} (${fullRankLayers})`;
  const trained = trainable === 'yes' && ownBatch ? 'at its own batch' : trainable;
  return `| ${name} | ${layers} | ${factorized} | ${keptText(kept)} | ${exact} | ${trained} | ${seconds.toFixed(1)} |`;
}

const exports = JSON.parse(readFileSync(join(folder, 'exports.json'), 'utf8'));
const images = join(folder, 'table-images');
await drawImages(images);
const names = ['baked', 'open'].flatMap((kind) =>
  readdirSync(join(folder, kind))
    .filter((file) => file.endsWith('.onnx'))
    .sort()
    .map((file) => `${kind}/${file.slice(0, -'.onnx'.length)}`),
);
for (const name of mode === 'print' ? [] : names) {
  if (results[name] !== undefined) continue;
  const { image } = exports[name];
  const areColors = image.length === 3 && image[0] === 3;
  const data = areColors ? images : writeArrays(join(folder, `table-arrays-${image.join('x')}`), image);
  results[name] = measure(join(folder, `${name}.onnx`), data);
  writeFileSync(record, JSON.stringify(results, null, 1));
  console.error(row(name, results[name]));
}
const measured = names.filter((name) => results[name] !== undefined);
const count = (kind) => measured.filter((name) => name.startsWith(`${kind}/`));
const counted = (kind, label) => {
  const own = count(kind);
  const converted = own.filter((name) => results[name].factorized > 0).length;
  const trainable = own.filter((name) => results[name].trainable === 'yes').length;
  return `${own.length} ${label}: layers of ${converted} are factorized, ${trainable} can be trained.`;
};
const heading = '## Exports with fresh weights';
const section = [
  heading,
  '',
  'Written by `scripts/models-table/table.js` of what `scripts/models-table/export.py` exports: models of torchvision and timm and small nets, with ten classes, small images and made-up weights, each',
  'by torch’s default exporter with a batch of 1 baked in (`baked`) and by `dynamo=False` with an open one (`open`), where that exporter takes it. Converted with its weights alone (`--calibrate none --init spectral --rank-scale 0.25`; the seconds,',
  'on two cores shared with other work, are of the whole command), and with every layer at its full rank, as above. Trainable: `train --explain` opens it, checks an opened batch against single images, and emits the gradients of all that it holds;',
  'no step is run; models that take no color pictures are given arrays. “–” under a full rank: nothing was factorized, or the conversion failed.',
  '',
  `${counted('baked', 'with a batch of 1 baked in')} ${counted('open', 'with an open batch')}`,
  '',
  '| export | layers | factorized | kept | relative difference at full rank (layers) | trainable | seconds |',
  '| --- | ---: | ---: | --- | ---: | --- | ---: |',
  ...measured.map((name) => row(name, results[name])),
  '',
].join('\n');
const document = fileURLToPath(new URL('../../docs/models-table.md', import.meta.url));
const text = readFileSync(document, 'utf8');
const at = text.indexOf(heading);
writeFileSync(document, `${(at < 0 ? text : text.slice(0, at)).trimEnd()}\n\n${section}`);
