import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeFolder } from '../../src/make-folder.js';
import { expectFailure, lowrank, type Outcome, temporaryFolder } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const model = join(folder, 'model.onnx');
writeFileSync(model, tinyClassifier());

/** A line of the shell, with the program as $0. */
function shell(line: string): Outcome {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line, `${process.execPath} ${lowrank}`], {
    encoding: 'utf8',
    cwd: folder,
    timeout: 60_000,
    env: { ...process.env, LOWRANK_DEBUG: '' },
  });
  return { code: status, stdout, stderr };
}

describe.skipIf(process.platform === 'win32')('what the machine refuses', () => {
  it('names the limit of open files', () => {
    expectFailure(shell('ulimit -n 28; $0 convert model.onnx'), 'RUNTIME', /no more files; raise the limit/);
  });

  it('names a working directory that is gone', () => {
    mkdirSync(join(folder, 'gone'));
    const outcome = shell(`cd gone && rmdir ../gone && $0 inspect ${model}`);
    expectFailure(outcome, 'RUNTIME', /the working directory does not exist any more; change to a folder that exists/);
  });
});

describe.skipIf(!existsSync('/proc/self'))('folders in /proc', () => {
  it('are refused at once', () => {
    expect(() => makeFolder('/proc/lowrank/evaluations')).toThrow(/ENOENT|EACCES|EPERM/);
  });

  it('as HOME, end the command with the option that names another', async () => {
    await writeTextures(join(folder, 'images'), 2, 1);
    const line = 'HOME=/proc XDG_CACHE_HOME= $0 convert model.onnx --accuracy-budget 5 --val images';
    expectFailure(shell(line), 'OUTPUT', /the cache of evaluations cannot be written: .*--cache/);
  });
});
