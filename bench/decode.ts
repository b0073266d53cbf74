// Decoding and augmenting against PyTorch's DataLoader with torchvision v2: warm epochs, each in a process of its own, in turns.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, oraclePython, saveResult, sharedFolder, timed } from './support/bench.js';

const mostRounds = Number(process.argv[2] ?? 5);
const pictures = join(sharedFolder, 'data/images/imagenet-sample');
const workers = 2;
const batch = 32;
const copies = 4;
const sizes = [160, 224] as const;
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));

/** Class folders with every picture `copies` times, so that an epoch is long enough. */
function spread(): string {
  const root = join(folder, 'files');
  for (let copy = 0; copy < copies; copy++) {
    const target = join(root, `copy-${copy}`);
    mkdirSync(target, { recursive: true });
    for (const name of readdirSync(pictures)) cpSync(join(pictures, name), join(target, name));
  }
  return root;
}

function pack(files: string, format: string): string {
  const output = join(folder, format);
  timed(process.execPath, ['bin/lowrank-data.js', 'pack', files, '-o', output, '--format', format, '--quiet']);
  return output;
}

interface Epoch {
  readonly images: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

interface Contender {
  readonly name: string;
  readonly run: (size: number) => Epoch;
}

const files = spread();
const python = (name: string, kind: string): Contender => ({
  name,
  run: (size) => {
    const script = 'bench/support/decode-oracle.py';
    const words = [script, files, size, kind, batch, workers].map(String);
    return JSON.parse(timed(oraclePython, words).stdout) as Epoch;
  },
});
const turboJpeg = process.env['LOWRANK_TURBOJPEG'] ?? '';
const ours = (name: string, path: string, place: 'files' | 'memory' = 'files', library = ''): Contender => ({
  name,
  run: (size) => {
    const words = ['dist/bench/support/decode-epoch.js', path, size, batch, workers, place].map(String);
    process.env['LOWRANK_TURBOJPEG'] = library;
    return JSON.parse(timed(process.execPath, words).stdout) as Epoch;
  },
});

try {
  const contenders = [
    python('PIL', 'pil'),
    python('decode_image', 'tensor'),
    ours('lowrank, files', files),
    ...(turboJpeg === '' ? [] : [ours('lowrank, files, TurboJPEG', files, 'files', turboJpeg)]),
    ours('lowrank, pack jpeg', pack(files, 'jpeg')),
    ours('lowrank, pack ppm', pack(files, 'ppm')),
    ours('lowrank, memory', files, 'memory'),
  ];
  const runs = sizes.flatMap((size) => contenders.map((contender) => ({ size, contender, epochs: [] as Epoch[] })));
  for (let round = 0; round < mostRounds; round++) {
    for (const { size, contender, epochs } of runs) {
      const epoch = contender.run(size);
      epochs.push(epoch);
      const speed = (epoch.images / epoch.seconds).toFixed(0);
      process.stderr.write(`round ${round}, ${size} px, ${contender.name}: ${speed} images/s\n`);
    }
    report(runs, round + 1);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

interface Run {
  readonly size: number;
  readonly contender: Contender;
  readonly epochs: readonly Epoch[];
}

/** Prints and saves what the rounds so far say. */
function report(runs: readonly Run[], rounds: number): void {
  const results = runs.map(({ size, contender, epochs }) => ({
    size,
    name: contender.name,
    imagesPerSecond: epochs.map(({ images, seconds }) => images / seconds),
    cpuMilliseconds: epochs.map(({ images, cpuSeconds }) => (cpuSeconds / images) * 1000),
  }));
  const table = results.map(({ size, name, imagesPerSecond, cpuMilliseconds }) => {
    const other = (theirs: string): (typeof results)[number] =>
      results.find((result) => result.size === size && result.name === theirs)!;
    // In turns: the machine is equally busy within a round.
    const speedOver = (theirs: string): number =>
      median(imagesPerSecond.map((speed, round) => speed / other(theirs).imagesPerSecond[round]!));
    // Processor time does not depend on what else the machine does: on idle cores both ratios are the same.
    const cpuOver = (theirs: string): number => median(other(theirs).cpuMilliseconds) / median(cpuMilliseconds);
    return {
      size,
      name,
      imagesPerSecond: median(imagesPerSecond),
      speedOverPil: speedOver('PIL'),
      speedOverDecodeImage: speedOver('decode_image'),
      cpuMilliseconds: median(cpuMilliseconds),
      cpuOverPil: cpuOver('PIL'),
      cpuOverDecodeImage: cpuOver('decode_image'),
    };
  });
  console.table(
    table.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? Number(value.toFixed(2)) : value]),
      ),
    ),
  );
  const [load] = loadavg();
  saveResult('decode', { pictures: 'imagenet-sample', copies, workers, batch, rounds, load, table, results });
}
