// Reads the files that its parent names, and says of each what came of it, how long it took and how much memory was needed.
import { readFileSync, utimesSync } from 'node:fs';
import { dirname } from 'node:path';
import { resourceUsage } from 'node:process';
import { readStudyFile } from '../../dist/src/cli/study-file.js';
import { readYaml } from '../../dist/src/cli/config-file.js';
import { decodeRegion, imageHeaderOf } from '../../dist/src/data/decode.js';
import { readGroundTruth } from '../../dist/src/data/ground-truth.js';
import { readSynsets } from '../../dist/src/data/mat-file.js';
import { readIdx } from '../../dist/src/data/idx-file.js';
import { openSource } from '../../dist/src/data/open.js';
import { readModel } from '../../dist/src/graph/read.js';
import { checkModel } from '../../dist/src/graph/check.js';
import { readNewest } from '../../dist/src/training/newest-checkpoint.js';
import { readSafetensors } from '../../dist/src/files/safetensors.js';
import { takeLock } from '../../dist/src/files/lock.js';

async function readAll(path) {
  const source = await openSource(dirname(path));
  try {
    for (let index = 0; index < source.length; index++) await source.read(index);
  } finally {
    await source.close();
  }
}

const readers = {
  image: async (path) => {
    const bytes = readFileSync(path);
    await decodeRegion(bytes, await imageHeaderOf(bytes, 89_478_485));
  },
  tar: readAll,
  parquet: readAll,
  idx: (path) => readIdx(path, 3),
  mat: (path) => readSynsets(readFileSync(path), path),
  truth: (path) => readGroundTruth(path, ['a.jpg'], undefined),
  model: (path) => {
    const model = readModel(path);
    checkModel(model);
    model.file.close();
  },
  yaml: async (path) => {
    // What settings are made of it is the command's: here only that it is bounded.
    const value = await readYaml(path);
    if (Object.keys(value).length > 0) await readStudyFile(path, {});
  },
  study: (path) => readStudyFile(path, {}),
  safetensors: readSafetensors,
  checkpoint: (path) => {
    const identity = { model: 'hash', settings: { lr: 0.1 } };
    const lengths = { parameters: 1, statistics: 0, state: 0, ema: 0 };
    readNewest([dirname(path)], identity, undefined, lengths, () => {});
  },
  lock: (path) => {
    // A torn lock that is new may be one that is being written.
    utimesSync(path, 0, 0);
    takeLock(path).release();
  },
};

async function answer({ reader, path }) {
  const started = performance.now();
  const result = { code: undefined, message: '' };
  try {
    await readers[reader](path);
  } catch (error) {
    result.code = error.name === 'LowrankError' ? error.code : error.name;
    result.message = error.name === 'LowrankError' ? error.message : error.stack;
  }
  const seconds = (performance.now() - started) / 1000;
  process.send({ ...result, seconds, peakBytes: resourceUsage().maxRSS * 1024 });
}

process.on('message', (request) => void answer(request));
process.send({ peakBytes: resourceUsage().maxRSS * 1024 });
