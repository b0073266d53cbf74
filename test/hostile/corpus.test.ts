import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { corpus, type HostileFile, type Reader } from './corpus.js';
import { supervisor } from './supervise.js';

// The promise of docs/data.md, for every file that anybody may have made.
const mebibyte = 2 ** 20;
const memoryFor = (fileBytes: number): number => 4 * fileBytes + 256 * mebibyte;
/** Many times what any of them takes, for machines that are busy. */
const limitSeconds = 30;

const folder = temporaryFolder();
const reader = supervisor(64 * mebibyte);
afterAll(() => {
  reader.close();
});

const names: Readonly<Record<Reader, string>> = {
  image: 'file.jpg',
  tar: 'file.tar',
  parquet: 'file.parquet',
  idx: 'file.idx',
  mat: 'meta.mat',
  truth: 'devkit.tar.gz',
  model: 'model.onnx',
  yaml: 'settings.yaml',
  study: 'study.yaml',
  safetensors: 'file.safetensors',
  checkpoint: 'state.json',
  lock: 'file.lock',
};

async function write(file: HostileFile): Promise<{ readonly path: string; readonly size: number }> {
  const home = join(folder, 'one');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home);
  const path = join(home, names[file.reader]);
  const bytes = await file.make();
  writeFileSync(path, bytes);
  return { path, size: bytes.length };
}

describe('hostile files take no more than their share of time and memory, and are refused in one line', () => {
  it.each(corpus)('$name', async (file) => {
    const { path, size } = await write(file);
    const { code, message, extraBytes } = await reader.read(file.reader, path, limitSeconds);
    expect({ code, message }).toMatchObject({ code: file.code });
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(message).not.toMatch(/[\u0000-\u001f\u007f]/);
    expect(message.length).toBeLessThan(5000);
    expect(Math.round(extraBytes / mebibyte)).toBeLessThan(memoryFor(size) / mebibyte);
  });
});

describe('the commands refuse them in one line', () => {
  const named = (name: string): HostileFile => corpus.find((file) => file.name === name)!;

  it.each([
    ['model: an operator set of 4 million fields', 'inspect', 'UNSUPPORTED', 1],
    ['parquet: an element with 2^31 children', 'data check', 'FORMAT', 1],
    ['tar: extended header of 100 MB', 'data check', 'FORMAT', 1],
    ['study: an alias of what it stands in', 'study', 'USAGE', 2],
  ])('%s: %s', async (name, command, code, exitCode) => {
    const file = named(name);
    const { path } = await write(file);
    const isData = file.reader === 'tar' || file.reader === 'parquet';
    expectFailure(run(...command.split(' '), isData ? join(path, '..') : path, '--quiet'), code, /./, exitCode);
  });
});
