// Images per second of one warm epoch: PATH SIZE BATCH WORKERS files|memory -> one JSON line.
import { cachedSource } from '../../src/data/cached-source.js';
import { createLoader } from '../../src/data/loader.js';
import { NORMALIZATIONS } from '../../src/data/normalize.js';
import { openSource } from '../../src/data/open.js';

const [path = '', sizeText, batchText, workersText, place] = process.argv.slice(2);
const size = Number(sizeText);
const workers = Number(workersText);
const opened = await openSource(path);
const source = place === 'memory' ? await cachedSource(opened, { maxBytes: 2 ** 31, workers }) : opened;
const loader = createLoader({
  source,
  transform: { kind: 'random-resized-crop', width: size, height: size },
  format: { type: 'float32', layout: 'nchw', normalization: NORMALIZATIONS.imagenet },
  batchSize: Number(batchText),
  shuffle: true,
  workers,
});
let images = 0;
for await (const batch of loader.batches(0)) images += batch.size;
const before = process.cpuUsage();
const started = performance.now();
images = 0;
for await (const batch of loader.batches(1)) images += batch.size;
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(before);
process.stdout.write(`${JSON.stringify({ images, seconds, cpuSeconds: (user + system) / 1e6 })}\n`);
await loader.close();
await source.close();
