// Trains a model with Node and onnxruntime-node alone, from what `lowrank-artifacts model.onnx -o training/` wrote.
//
//     node examples/train.mjs training/ --data batch.safetensors --steps 20 --lr 0.05 -o trained.safetensors
//     lowrank artifacts --write-back trained.safetensors -o trained.onnx
//
// The batch is a .safetensors file with images `x` (float32, as the model takes them) and labels `y` (int32 or int64);
// without one, random images. Labels are left out where the graphs take none (artifacts with --teacher). Needs: npm install onnxruntime-node
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const arrays = { F32: Float32Array, F64: Float64Array, I32: Int32Array, I64: BigInt64Array };

function readSafetensors(path) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__, ...header } = JSON.parse(bytes.subarray(8, start));
  const tensors = Object.entries(header).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [begin, end],
      },
    ]) => {
      const copy = new Uint8Array(bytes.subarray(start + begin, start + end));
      return [name, { shape, data: new arrays[dtype](copy.buffer) }];
    },
  );
  return Object.fromEntries(tensors);
}

function writeSafetensors(path, tensors, metadata) {
  let offset = 0;
  const header = tensors.map(([name, shape, { byteLength }]) => {
    offset += byteLength;
    return [name, { dtype: 'F32', shape, data_offsets: [offset - byteLength, offset] }];
  });
  const text = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(header) }));
  const padded = Buffer.concat([text, Buffer.alloc(-text.length & 7, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const data = tensors.map(([, , x]) => Buffer.from(x.buffer, x.byteOffset, x.byteLength));
  writeFileSync(path, Buffer.concat([length, padded, ...data]));
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    steps: { type: 'string', default: '5' },
    lr: { type: 'string', default: '0.01' },
    output: { type: 'string', short: 'o', default: 'trained.safetensors' },
  },
});
const [folder] = positionals;
const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
if (manifest.schema !== 'lowrank.artifacts/1') throw new Error(`unknown schema ${manifest.schema}`);
const { gradient, update, eval: evaluation } = manifest;

// mulberry32, so that runs repeat.
let seed = 0;
function random() {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const float32 = (data, dims = [data.length]) => new Tensor('float32', data, dims);
const product = (dims) => dims.reduce((a, b) => a * b, 1);

let images;
let labels;
if (options.data === undefined) {
  const dims = [manifest.batch ?? 8, ...manifest.imageShape];
  images = float32(
    Float32Array.from({ length: product(dims) }, () => 2 * random() - 1),
    dims,
  );
  labels = Array.from({ length: dims[0] }, () => Math.floor(random() * (manifest.classes ?? 1)));
} else {
  const { x, y } = readSafetensors(options.data);
  images = float32(x.data, x.shape);
  labels = Array.from(y?.data ?? new Int32Array(x.shape[0]));
}
const batch = labels.length;
labels = new Tensor('int64', BigInt64Array.from(labels, BigInt), [batch]);

/** Runs a graph on tensors named as the manifest names them; gives its outputs by those names. */
async function run(session, part, tensors) {
  const taken = Object.entries(tensors).filter(([name]) => part.inputs[name] !== undefined);
  const feeds = Object.fromEntries(taken.map(([name, tensor]) => [part.inputs[name], tensor]));
  // Dropout: drawn anew for every step.
  for (const { name, shape, ratio } of part.inputs.masks?.length > 0 ? manifest.masks : []) {
    const dims = [batch, ...shape];
    const mask = Float32Array.from({ length: product(dims) }, () => (random() < ratio ? 0 : 1 / (1 - ratio)));
    feeds[name] = float32(mask, dims);
  }
  const results = await session.run(feeds);
  return Object.fromEntries(Object.entries(part.outputs).map(([name, output]) => [name, results[output]]));
}

const open = (part) => InferenceSession.create(join(folder, part.file));
const [gradientSession, updateSession, evaluationSession] = await Promise.all([gradient, update, evaluation].map(open));
const initial = readSafetensors(join(folder, manifest.initial.file));
let parameters = float32(initial.parameters.data);
let statistics = float32(initial.statistics.data);
let state = float32(initial.state.data);
const learningRate = float32(Float32Array.of(Number(options.lr)), []);
// Of the loss, where the graph computes in float16.
let [scale, good, skipped] = [65536, 0, 0];
for (let step = 1; step <= Number(options.steps); step++) {
  const scaled = gradient.inputs.scale === undefined ? {} : { scale: float32(Float32Array.of(scale), []) };
  const seen = await run(gradientSession, gradient, { parameters, statistics, images, labels, ...scaled });
  if (gradient.inputs.scale !== undefined && !seen.gradient.data.every(Number.isFinite)) {
    // Too large for float16: again with half the scale.
    [scale, good, skipped] = [scale / 2, 0, skipped + 1];
    console.log(`step ${step}: loss ${seen.loss.data[0].toPrecision(9)}, skipped, scale ${scale}`);
    continue;
  }
  if (++good === 2000) [scale, good] = [scale * 2, 0];
  statistics = seen.statistics;
  const moved = await run(updateSession, update, {
    parameters,
    gradient: seen.gradient,
    state,
    learningRate,
    step: new Tensor('int64', BigInt64Array.of(BigInt(step - skipped)), []),
  });
  ({ parameters, state } = moved);
  const loss = seen.loss.data[0].toPrecision(9);
  const norm = moved.gradientNorm.data[0].toPrecision(9);
  console.log(`step ${step}: loss ${loss}, ${seen.correct.data[0]} of ${batch} right, gradient norm ${norm}`);
}
const final = await run(evaluationSession, evaluation, { parameters, statistics, images, labels });
console.log(`evaluation: loss ${final.loss.data[0].toPrecision(9)}, ${final.correct.data[0]} of ${batch} right`);

const cut = (slots, { data }) =>
  slots.map(({ name, shape, offset, size }) => [name, shape, data.slice(offset, offset + size)]);
const trained = [...cut(manifest.parameters, parameters), ...cut(manifest.statistics, statistics)];
// What `lowrank artifacts --write-back trained.safetensors -o trained.onnx` finds the model by.
writeSafetensors(options.output, trained, { 'lowrank.artifacts': resolve(folder) });
