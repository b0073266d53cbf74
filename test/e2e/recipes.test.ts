import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { lowrank, root, temporaryFolder, type Outcome } from '../support/command.js';
import { buildModel } from '../support/models.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

/** What docs/recipes.md has under a heading: shell lines in their order, and files whose first line is their name. */
interface Recipe {
  readonly title: string;
  readonly lines: readonly string[];
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

function blocks(section: string, language: string): readonly string[] {
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, code]) => code!);
}

const recipes: readonly Recipe[] = readFileSync(join(root, 'docs/recipes.md'), 'utf8')
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    title: section.slice(0, section.indexOf('\n')),
    lines: blocks(section, 'sh').flatMap((code) => code.trimEnd().split('\n')),
    files: blocks(section, 'yaml').map((text) => ({ name: /^# (\S+)\n/.exec(text)![1]!, text })),
  }));

/** What is added to the lines here, and nothing else: there are three classes, and few pictures. */
const added: readonly (readonly [line: RegExp, options: string])[] = [
  [/^lowrank convert (?!.*(?:--reinit|--latency-budget))/, '--calibrate-images 24'],
  [/^lowrank convert .*--accuracy-budget/, '--evaluations 2'],
  [/^lowrank convert .*--latency-budget/, '--calibrate none'],
  [/^lowrank create/, '--num-classes 3'],
  [/^lowrank train (?!.*--teacher)/, '--epochs 2 --batch-size 12'],
  [/^lowrank train .*--teacher/, '--steps 8 --batch-size 8'],
  [/^lowrank (?:convert|train|eval|study)/, '--threads 1'],
  [/^lowrank (?:train|eval)/, '--workers 0'],
];

const python = [process.env['LOWRANK_PYTHON'], process.env['LOWRANK_ORACLE_PYTHON'], 'python3'].find(
  (program) =>
    program !== undefined &&
    spawnSync(program, ['-c', 'import numpy, onnxruntime, PIL'], { stdio: 'ignore' }).status === 0,
);

/** Lines that a machine may refuse, being without a GPU, busy, or without Python: what they say there, and what stands in for them. */
const refusals: readonly (readonly [line: RegExp, refusal: RegExp, instead?: string])[] = [
  [/--device cuda (?!.*--explain)/, /^error\[DEVICE\]: .*CUDA/m],
  [/--latency-budget/, /^error\[USAGE\]: --latency-budget 0\.7 cannot be reached; the smallest possible here is /m],
  ...(python === undefined
    ? [[/^python /, /pip install|not found/, 'node examples/train.mjs training -o trained.safetensors'] as const]
    : []),
];

const folder = temporaryFolder();
const given = join(folder, 'given');
const programs = join(folder, 'programs');

/** Three convolutions of 3×3 with 64 channels on 28×28: large enough for pairs to be faster. */
function wideModel(): Uint8Array {
  const weights = ['a', 'b', 'c'].map((name) => {
    const dims = [64, name === 'a' ? 3 : 64, 3, 3];
    const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    fillTruncatedNormal(randomStream(1, name), data, 0, 0.05);
    return { name, dims, data };
  });
  return buildModel({
    inputs: [{ name: 'x', dims: [1, 3, 28, 28] }],
    outputs: [{ name: 'y', dims: [1, 64, 28, 28] }],
    nodes: weights.map(({ name }, index) => ({
      op: 'Conv',
      name,
      inputs: [['x', 'h', 'i'][index]!, name],
      outputs: [['h', 'i', 'y'][index]!],
      attributes: { pads: [1, 1, 1, 1], kernel_shape: [3, 3] },
    })),
    initializers: weights,
  });
}

beforeAll(async () => {
  mkdirSync(given);
  writeFileSync(join(given, 'model.onnx'), tinyClassifier());
  writeFileSync(join(given, 'wide.onnx'), wideModel());
  await writeTextures(join(given, 'photos', 'train'), 24, 1);
  await writeTextures(join(given, 'photos', 'val'), 12, 2);
  await writeTextures(join(given, 'flowers', 'train'), 12, 3, ['rose', 'tulip']);
  await writeTextures(join(given, 'flowers', 'val'), 6, 4, ['rose', 'tulip']);
  cpSync(join(given, 'photos', 'train'), join(given, 'snapshots'), { recursive: true });
  mkdirSync(programs);
  symlinkSync(lowrank, join(programs, 'lowrank'));
  if (python !== undefined)
    symlinkSync(spawnSync('which', [python], { encoding: 'utf8' }).stdout.trim(), join(programs, 'python'));
});

function shell(line: string, cwd: string): Outcome {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line], {
    cwd,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: [programs, process.env['PATH']].join(delimiter),
      XDG_CACHE_HOME: join(folder, 'cache'),
    },
  });
  return { code: status, stdout, stderr };
}

/** The last outcome of a recipe, where more is expected of it than files. */
const expectations: Readonly<Record<string, (last: Outcome) => void>> = {
  '10. A cluster': ({ stdout, stderr }) => {
    expect(stderr).toMatch(/^4 of 4 cells are finished already$/m);
    expect(stdout).toMatch(/^cells +4 of 4 cells finished$/m);
  },
};

describe('docs/recipes.md', () => {
  it('has eleven situations, each in the table', () => {
    expect(recipes.map(({ title }) => Number.parseInt(title, 10))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it.each(recipes)('$title', ({ title, lines, files }) => {
    const cwd = join(folder, `recipe-${Number.parseInt(title, 10)}`);
    cpSync(given, cwd, { recursive: true });
    symlinkSync(join(root, 'examples'), join(cwd, 'examples'));
    for (const { name, text } of files) writeFileSync(join(cwd, name), text);
    let last: Outcome | undefined;
    for (const line of lines) {
      if (line.includes('--latency-budget')) cpSync(join(cwd, 'wide.onnx'), join(cwd, 'model.onnx'));
      const options = added.filter(([pattern]) => pattern.test(line)).map(([, more]) => more);
      last = shell([line, ...options].join(' '), cwd);
      const [, refusal, instead] = refusals.find(([pattern]) => pattern.test(line)) ?? [];
      if (refusal !== undefined && last.code !== 0) {
        expect(last.stderr).toMatch(refusal);
        if (instead === undefined) continue;
        last = shell(instead, cwd);
      }
      expect({ line, code: last.code, stderr: last.code === 0 ? '' : last.stderr }).toEqual({
        line,
        code: 0,
        stderr: '',
      });
      const [, output] = /(?:-o|--report) (\S+)/.exec(line) ?? [];
      if (output !== undefined) expect(existsSync(join(cwd, output)), output).toBe(true);
    }
    expectations[title]?.(last!);
  });
});
