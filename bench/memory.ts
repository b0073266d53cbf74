// Peak memory and times that do not depend on how good the linear algebra is: VGG-16 converted and inspected, --help.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, saveResult } from './support/bench.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
const given = process.argv[2];
const model = given !== undefined && existsSync(given) ? given : join(folder, 'vgg16.onnx');

// A process reports its own peak when it ends: what the kernel counts, mapped files included.
const reporter = `data:text/javascript,process.on('exit',()=>process.stderr.write('\\npeak '+process.resourceUsage().maxRSS+'\\n'))`;

function measured(...args: string[]): { seconds: number; peakBytes: number } {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ['--import', reporter, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const seconds = (performance.now() - started) / 1000;
  const peak = /^peak (\d+)$/m.exec(stderr)?.[1];
  if (status !== 0 || peak === undefined) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
  return { seconds, peakBytes: Number(peak) * 1024 };
}

/** The median of five runs, after one that fills the caches. */
function medianSeconds(...args: string[]): number {
  return median([0, 1, 2, 3, 4, 5].map(() => measured(...args).seconds).slice(1));
}

try {
  if (model !== given) measured('bin/lowrank-create.js', 'vgg16', '-o', model);
  const fileBytes = statSync(model).size;
  const convert = measured('bin/lowrank-convert.js', model, '-o', join(folder, 'out.onnx'), '--force', '--quiet');
  const inspect = measured('bin/lowrank-inspect.js', model, '--no-spectrum');
  const result = {
    fileBytes,
    convert: { ...convert, multiple: convert.peakBytes / fileBytes },
    inspect: {
      seconds: medianSeconds('bin/lowrank-inspect.js', model, '--no-spectrum'),
      peakBytes: inspect.peakBytes,
      multiple: inspect.peakBytes / fileBytes,
    },
    helpSeconds: medianSeconds('bin/lowrank.js', '--help'),
  };
  const lines = [
    `VGG-16, ${(fileBytes / 1e6).toFixed(0)} MB`,
    `convert: peak ${result.convert.multiple.toFixed(2)} × the file (≤ 2.5), ${convert.seconds.toFixed(1)} s`,
    `inspect --no-spectrum: peak ${result.inspect.multiple.toFixed(2)} × the file, ${result.inspect.seconds.toFixed(2)} s (< 2)`,
    `--help: ${(1000 * result.helpSeconds).toFixed(0)} ms (< 150)`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  saveResult('memory', result);
} finally {
  rmSync(folder, { recursive: true });
}
