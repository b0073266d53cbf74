// Damaged models against the reader, the checker, the writer and shape inference, for minutes: --seconds 120 --seed 1.
// One of them again, kept as a file: --seed 1 --only 20300 --keep mutant.onnx.
// A child process with little memory does the work; its parent sees it hang, crash or run out of memory, and goes on.
import { fork } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { oddModels } from '../test/support/broken.js';
import { exercise } from '../test/support/exercise.js';
import { mutator, randomOf } from '../test/support/mutate.js';
import { randomModel } from '../test/support/random-model.js';
import { saveResult, sharedFolder } from './support/bench.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: '1' },
    child: { type: 'string' },
    only: { type: 'string' },
    keep: { type: 'string' },
    'skip-infer': { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const steps = { infer: !values['skip-infer'] };
const largestModel = 400_000;
/** No mutant may take longer; a mutant of this size that is accepted takes some tens of milliseconds. */
const limitSeconds = 2;
const heapMiB = 512;
/** Mutants made of one model before the next one's turn. */
const batch = 50;

interface Report {
  readonly mutant: number;
  readonly outcome?: string;
  readonly seconds?: number;
  readonly failure?: string;
  readonly heap?: number;
}

/** Small models of all exporters. */
function realModels(): Buffer[] {
  const folder = join(sharedFolder, 'data', 'models');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(
      (name) => name.endsWith('.onnx') && !name.includes('html') && statSync(join(folder, name)).size < largestModel,
    )
    .sort()
    .map((name) => readFileSync(join(folder, name)));
}

/** Mutant number n, the same in every run: of which model, and its bytes. */
function* mutants(first: number): Generator<{ readonly mutant: number; readonly bytes: Buffer }> {
  const models = [
    ...realModels(),
    ...oddModels.map(({ bytes }) => bytes),
    ...fc.sample(randomModel, { seed, numRuns: 50 }),
  ];
  const mutators = models.map((bytes) => mutator(bytes));
  for (let mutant = first; ; mutant++) {
    const mutate = mutators[Math.floor(mutant / batch) % mutators.length]!;
    yield { mutant, bytes: mutate(randomOf(seed * 1e9 + mutant)) };
  }
}

async function work(first: number, until: number): Promise<void> {
  // Until it is out: the parent must know which mutant it is that hangs.
  const tell = async (report: Report): Promise<void> =>
    new Promise((resolve) => {
      process.send!(report, () => resolve());
    });
  for (const { mutant, bytes } of mutants(first)) {
    if (Date.now() > until) break;
    await tell({ mutant });
    const started = performance.now();
    const report: { mutant: number; outcome?: string; failure?: string; seconds?: number; heap?: number } = { mutant };
    try {
      report.outcome = exercise(bytes, steps);
    } catch (error) {
      report.failure = error instanceof Error ? `${error.stack} ${String(error.cause ?? '')}` : String(error);
    }
    report.seconds = (performance.now() - started) / 1000;
    if (mutant % 100 === 0) report.heap = process.memoryUsage().rss;
    await tell(report);
  }
  process.disconnect();
}

async function supervise(): Promise<void> {
  const until = Date.now() + 1000 * Number(values.seconds);
  const outcomes: Record<string, number> = {};
  const failures: { mutant: number; what: string }[] = [];
  let [next, count, slowest, peak] = [0, 0, 0, 0];
  const fail = (mutant: number, what: string): void => {
    failures.push({ mutant, what });
    process.stderr.write(`mutant ${mutant}: ${what}\n`);
  };
  while (Date.now() < until && failures.length < 20) {
    await new Promise<void>((resolve) => {
      const child = fork(
        fileURLToPath(import.meta.url),
        ['--child', `${next},${until}`, '--seed', String(seed), ...(steps.infer ? [] : ['--skip-infer'])],
        {
          execArgv: [`--max-old-space-size=${heapMiB}`],
          stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        },
      );
      let current = next;
      let isDone = true;
      let complaint = '';
      child.stderr!.on('data', (text: Buffer) => (complaint = `${complaint}${text.toString()}`.slice(-2000)));
      let hang: NodeJS.Timeout | undefined;
      child.on('message', ({ mutant, outcome, seconds, failure, heap }: Report) => {
        clearTimeout(hang);
        current = mutant;
        isDone = seconds !== undefined;
        if (!isDone) hang = setTimeout(() => child.kill('SIGKILL'), 20_000);
        else count++;
        if (heap !== undefined) peak = Math.max(peak, heap);
        if (seconds !== undefined) slowest = Math.max(slowest, seconds);
        if (seconds !== undefined && seconds > limitSeconds) fail(mutant, `${seconds.toFixed(1)} s`);
        if (failure !== undefined) fail(mutant, failure);
        if (outcome !== undefined) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      });
      child.on('exit', (code, signal) => {
        clearTimeout(hang);
        if (!isDone) fail(current, `the process ended with ${code ?? signal}: ${complaint}`);
        next = current + 1;
        resolve();
      });
    });
  }
  const result = {
    seed,
    seconds: Number(values.seconds),
    infer: steps.infer,
    mutants: count,
    outcomes,
    slowestSeconds: slowest,
    peakRssMiB: Math.round(peak / 2 ** 20),
    heapLimitMiB: heapMiB,
    failures,
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  saveResult('fuzz', result);
  if (failures.length > 0) process.exitCode = 1;
}

if (values.only !== undefined) {
  for (const { bytes } of mutants(Number(values.only))) {
    if (values.keep !== undefined) writeFileSync(values.keep, bytes);
    process.stdout.write(`${exercise(bytes, steps)}\n`);
    break;
  }
} else if (values.child === undefined) await supervise();
else {
  const [first, until] = values.child.split(',').map(Number) as [number, number];
  await work(first, until);
}
