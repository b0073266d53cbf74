import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeReport } from '../../src/cli/paths.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { lowrank, type Outcome, run, temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  await writeTextures(at('photos/train'), 24, 1);
  await writeTextures(at('photos/val'), 4, 2);
  writeFileSync(at('m.onnx'), tinyClassifier());
});

/** Sends the signal as soon as `isTime`, asked whenever something changes in the folder `place`. */
async function stopped(
  words: readonly string[],
  signal: NodeJS.Signals,
  place: string,
  isTime: () => boolean,
): Promise<Outcome> {
  const child = spawn(process.execPath, [lowrank, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = once(child, 'close');
  await until(child, place, isTime);
  child.kill(signal);
  const [code] = (await ended) as [number | null];
  return { code, stdout, stderr };
}

describe.skipIf(process.platform === 'win32')('a training', () => {
  const words = (output: string, ...more: readonly string[]): string[] => [
    ...['train', at('m.onnx'), '--data', at('photos'), '-o', at(output), '--batch-size', '12', '--lr', '0.01'],
    ...['--threads', '1', '--workers', '0', '--quiet', '--json', ...more],
  ];

  it.each(['SIGHUP', 'SIGTERM', 'SIGINT'] as const)('saves at %s, in the middle of an epoch', async (signal) => {
    const output = `${signal}.onnx`;
    const checkpoints = at(`${output}.checkpoints`);
    // Behind the second epoch: in one of the others.
    const isLate = (): boolean => readdirSync(checkpoints).filter((name) => name.startsWith('step-')).length > 1;
    const outcome = await stopped(words(output, '--epochs', '3000'), signal, checkpoints, isLate);
    expect(outcome.code, outcome.stderr).toBe(130);
    const report = JSON.parse(outcome.stdout) as TrainReport;
    expect(report).toMatchObject({
      status: 'interrupted',
      written: null,
      resume: `lowrank train ${at('m.onnx')} -o ${at(output)} --resume`,
    });
    expect(existsSync(at(`${output}.lock`))).toBe(false);
    expect(readdirSync(checkpoints).length).toBeGreaterThan(0);
    const newest = readdirSync(checkpoints).sort().at(-1)!;
    const { step, epoch } = JSON.parse(readFileSync(join(checkpoints, newest, 'state.json'), 'utf8')) as TrainReport & {
      readonly step: number;
      readonly epoch: number;
    };
    expect(step).toBeGreaterThan(0);
    expect(report.checkpoint).toEqual({ path: join(checkpoints, newest), epoch, steps: step });
    // It goes on from the very update.
    const goesOn = (): boolean => readdirSync(checkpoints).some((name) => name.startsWith('step-') && name > newest);
    const line = ['train', at('m.onnx'), '-o', at(output), '--resume', '--json'];
    const again = await stopped(line, 'SIGTERM', checkpoints, goesOn);
    expect((JSON.parse(again.stdout) as TrainReport).resumedFrom).toMatchObject({ steps: step, epoch });
  });
});

describe.skipIf(process.platform === 'win32')('a command that decodes', () => {
  it('ends at SIGTERM, and leaves nothing that the next run does not go on with', async () => {
    const words = ['data', 'pack', at('photos/train'), '-o', at('packed'), '--shard-size', '2', '--workers', '1'];
    const isLate = (): boolean => existsSync(at('packed/shard-000002.tar'));
    const outcome = await stopped(words, 'SIGTERM', at('packed'), isLate);
    expect(outcome.code).toBe(130);
    expect(readdirSync(at('packed')).filter((name) => /tmp|lock/.test(name))).toEqual([]);
    expect(run(...words).code).toBe(0);
  });
});

describe('a report that cannot be written', () => {
  it('says what was written before it', async () => {
    const path = at('nowhere/report.html');
    const html = (): Promise<string> => Promise.resolve('<p>');
    const failure = await failureOf('OUTPUT', () => writeReport(path, html, 'small.onnx'));
    expect(failure.message).toMatch(/^the report cannot be written: .*; small\.onnx was written; .*nowhere/);
    await failureOf('INTERNAL', () => writeReport(at('r.html'), () => Promise.reject(new Error('no')), 'small.onnx'));
  });
});
