import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readModel } from '../../src/graph/read.js';
import { writeModel } from '../../src/graph/write.js';
import { randomOf } from './mutate.js';
import { tinyClassifier, writeTextures } from './tiny-classifier.js';

/** A command that is killed at any moment, and run again as a user would run it. */
export interface KillSubject {
  readonly name: string;
  /** Files that must be there before it runs; its other files are made from them. */
  readonly prepare?: (folder: string, program: Program) => void;
  readonly words: (folder: string, inputs: string) => readonly string[];
  /** What is added when it is run again; undefined where there is nothing left to do. */
  readonly again: (folder: string) => readonly string[] | undefined;
  /** The content of a file, but for what no two runs have in common, such as times; undefined: all of it. */
  readonly said?: (name: string, bytes: Buffer) => unknown;
}

/** Runs the real program, and fails where that does. */
export type Program = (words: readonly string[]) => void;

function program(root: string): Program {
  return (words) => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'bin/lowrank.js'), ...words], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`lowrank ${words.join(' ')} ended with ${status}: ${stderr}`);
  };
}

/** Images and models in `inputs`, small ones. */
export async function writeInputs(inputs: string): Promise<void> {
  await writeTextures(join(inputs, 'photos/train'), 16, 1);
  await writeTextures(join(inputs, 'photos/val'), 4, 2);
  writeFileSync(join(inputs, 'tiny.onnx'), tinyClassifier());
  writeModel(readModel(tinyClassifier()), join(inputs, 'external.onnx'), { dataLocation: 'external' });
  const lines = [
    `architectures: [tiny.onnx]`,
    'rank-scales: [0.25]',
    'inits: [spectral]',
    'seeds: 2',
    'keep-models: true',
    'data: photos',
    'train: {epochs: 1, batch-size: 12, lr: 0.1, threads: 1, workers: 0, checkpoint-every: 1}',
  ];
  writeFileSync(join(inputs, 'study.yaml'), `${lines.join('\n')}\n`);
}

const packWords = (folder: string, inputs: string): readonly string[] => [
  ...['data', 'pack', join(inputs, 'photos/train'), '-o', join(folder, 'packed')],
  ...['--shard-size', '6', '--workers', '1', '--quiet'],
];

/** Without what depends on the clock and the folder. */
function timeless(_: string, bytes: Buffer): unknown {
  const drop = /seconds|^command$|^folder$|imagesPerSecond|dataWaitShare|peakMemory|isReused|reused|warnings|checksum/i;
  return JSON.parse(bytes.toString(), (key, value: unknown) => (drop.test(key) ? undefined : value));
}

export const killSubjects: readonly KillSubject[] = [
  {
    name: 'train',
    words: (folder, inputs) => [
      ...['train', join(inputs, 'tiny.onnx'), '--data', join(inputs, 'photos'), '-o', join(folder, 'out.onnx')],
      ...['--epochs', '2', '--batch-size', '12', '--lr', '0.1', '--threads', '1', '--workers', '0', '--quiet'],
      ...['--checkpoint-every', '1'],
    ],
    again: (folder) => [hasCheckpoint(join(folder, 'out.onnx.checkpoints')) ? '--resume' : '--force'],
    said: (name, bytes) => (name.endsWith('state.json') ? timeless(name, bytes) : undefined),
  },
  {
    name: 'convert',
    // A model that is replaced, with a data file of its own.
    prepare: (folder) => {
      writeModel(readModel(tinyClassifier({ seed: 9 })), join(folder, 'out.onnx'), { dataLocation: 'external' });
    },
    words: (folder, inputs) => [
      ...['convert', join(inputs, 'external.onnx'), '-o', join(folder, 'out.onnx'), '--force', '--quiet'],
      // What is written is what matters here: the fit that takes least time.
      ...['--threads', '1', '--calibrate', 'none', '--rank-scale', '0.5'],
    ],
    again: () => [],
  },
  {
    name: 'study',
    words: (folder, inputs) => ['study', join(inputs, 'study.yaml'), '-o', join(folder, 'out.study'), '--quiet'],
    again: () => [],
    said: (name, bytes) => (name.endsWith('.json') ? timeless(name, bytes) : name.endsWith('.html') ? '' : undefined),
  },
  {
    name: 'pack',
    words: packWords,
    again: (folder) => (isPacked(join(folder, 'packed')) ? undefined : []),
  },
  {
    name: 'pack --force',
    prepare: (folder, run) => run([...packWords(folder, join(folder, '../inputs')), '--size', '10']),
    words: (folder, inputs) => [...packWords(folder, inputs), '--force'],
    again: () => [],
  },
];

/** Of what lies there, a folder that was being written or removed is none. */
function hasCheckpoint(folder: string): boolean {
  const whole = /^(?:step-\d+|\.step-\d+\.(?:replaced|superseded))$/;
  return existsSync(folder) && readdirSync(folder).some((name) => whole.test(name));
}

function isPacked(folder: string): boolean {
  return existsSync(join(folder, 'pack.json')) && !existsSync(join(folder, 'pack.unfinished.json'));
}

/** Every file below a folder, with the hash of what is said in it. */
function snapshot(folder: string, said: KillSubject['said']): Readonly<Record<string, string>> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
  return Object.fromEntries(
    names.map((name) => {
      const bytes = readFileSync(join(folder, name));
      const content = said?.(name, bytes);
      const hash = createHash('sha256').update(content === undefined ? bytes : JSON.stringify(content));
      return [name, hash.digest('hex').slice(0, 16)];
    }),
  );
}

export interface KillPoint {
  /** Milliseconds, or changes to files, behind which the process was killed. */
  readonly after: string;
  /** Whether it was killed, and had not ended before. */
  readonly isKilled: boolean;
  /** What differs from a run that nobody killed: nothing, if all is well. */
  readonly differences: readonly string[];
}

/**
 * Kills a command at `points` moments, half of them chosen by time and half by the changes that it makes to files, runs it
 * again each time, and compares all files with those of a run that nobody killed. The same seed chooses alike.
 */
export async function killAtRandom(
  subject: KillSubject,
  { root, folder, points, seed }: { root: string; folder: string; points: number; seed: number },
): Promise<readonly KillPoint[]> {
  const run = program(root);
  const inputs = join(folder, 'inputs');
  const random = randomOf(seed);
  const begin = (name: string): string => {
    const own = join(folder, name);
    rmSync(own, { recursive: true, force: true });
    mkdirSync(own);
    subject.prepare?.(own, run);
    return own;
  };
  const reference = begin('reference');
  const whole = await runUntil(root, subject.words(reference, inputs), reference, {});
  const expected = snapshot(reference, subject.said);
  const results: KillPoint[] = [];
  for (let point = 0; point < points; point++) {
    const own = begin('killed');
    const byChanges = point % 2 === 1;
    const share = random(1e6) / 1e6;
    const limit = byChanges
      ? { changes: 1 + Math.floor(share * whole.changes) }
      : { milliseconds: Math.floor((0.3 + 0.7 * share) * whole.milliseconds) };
    const { isKilled } = await runUntil(root, subject.words(own, inputs), own, limit);
    const more = subject.again(own);
    let failure: string | undefined;
    try {
      if (more !== undefined) run([...subject.words(own, inputs), ...more]);
    } catch (error) {
      failure = (error as Error).message;
    }
    const found = snapshot(own, subject.said);
    const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
    const differences = names.filter((name) => found[name] !== expected[name]);
    if (differences.length > 0) cpSync(own, join(folder, `failed-${point}`), { recursive: true });
    results.push({
      after: byChanges ? `${limit.changes} changes` : `${limit.milliseconds} ms`,
      isKilled,
      differences: [...(failure === undefined ? [] : [failure]), ...differences],
    });
  }
  return results;
}

async function runUntil(
  root: string,
  words: readonly string[],
  folder: string,
  limit: { readonly changes?: number; readonly milliseconds?: number },
): Promise<{ readonly isKilled: boolean; readonly changes: number; readonly milliseconds: number }> {
  let changes = 0;
  const started = performance.now();
  const child = spawn(process.execPath, [join(root, 'bin/lowrank.js'), ...words], { stdio: 'ignore' });
  const stopWatching = watchTree(folder, () => {
    if (++changes === limit.changes) child.kill('SIGKILL');
  });
  const timer =
    limit.milliseconds === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), limit.milliseconds);
  const isKilled = await new Promise<boolean>((resolve) => {
    child.once('exit', (_, signal) => resolve(signal === 'SIGKILL'));
  });
  clearTimeout(timer);
  stopWatching();
  return { isKilled, changes, milliseconds: performance.now() - started };
}

/** Hears of every change to names below a folder, also in folders that come and go. */
function watchTree(folder: string, hear: () => void): () => void {
  const watchers = new Map<string, FSWatcher>();
  const add = (path: string): void => {
    try {
      if (watchers.has(path)) return;
      const watcher = watch(path, () => {
        hear();
        add(path);
        for (const each of foldersIn(path)) add(each);
      });
      watcher.on('error', () => watcher.close());
      watchers.set(path, watcher);
      for (const each of foldersIn(path)) add(each);
    } catch {
      // It has gone already.
    }
  };
  add(folder);
  return () => {
    for (const watcher of watchers.values()) watcher.close();
  };
}

function foldersIn(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(path, name));
  } catch {
    return [];
  }
}
