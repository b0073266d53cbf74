import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { root, temporaryFolder, type Outcome } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

/** A project of its own: the packed package and what it depends on, and nothing else. */
const folder = temporaryFolder();
const installed = join(folder, 'node_modules', 'lowrank');

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
}

function execute(program: string, words: readonly string[], cwd = folder): Outcome {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd, encoding: 'utf8', maxBuffer: 1e8 });
  return { code: status, stdout, stderr };
}

function link(name: string): void {
  const path = join(folder, 'node_modules', name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(join(root, 'node_modules', name), path, 'junction');
}

/** The examples of a language under a heading of README.md. */
function examples(heading: string, language: string): readonly string[] {
  const readme = readFileSync(join(installed, 'README.md'), 'utf8');
  const [, section = ''] = readme.split(`\n### ${heading}\n`);
  const [own = ''] = section.split(/\n#{2,3} /);
  return [...own.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, code]) => code!);
}

let manifest: Manifest;

beforeAll(async () => {
  const packed = execute('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], root);
  expect(packed.code, packed.stderr).toBe(0);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  expect(execute('tar', ['-xzf', tarball!]).code).toBe(0);
  mkdirSync(join(folder, 'node_modules'));
  cpSync(join(folder, 'package'), installed, { recursive: true });
  manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
  for (const name of Object.keys(manifest.dependencies)) link(name);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  writeFileSync(join(folder, 'model.onnx'), tinyClassifier());
  await writeTextures(join(folder, 'photos', 'train'), 8, 1);
  await writeTextures(join(folder, 'photos', 'val'), 4, 2);
}, 120_000);

describe('the package', () => {
  const library = (): readonly string[] => examples('As a library', 'js');

  it('runs the examples of README.md in a folder of its own', () => {
    expect(library().length).toBeGreaterThanOrEqual(2);
    for (const [index, code] of library().entries()) {
      const file = `example-${index}.js`;
      writeFileSync(join(folder, file), code);
      const { code: status, stderr } = execute(process.execPath, [file]);
      expect(status, stderr).toBe(0);
    }
    for (const file of ['small.onnx', 'tuned.onnx', 'step/manifest.json'])
      expect(existsSync(join(folder, file)), file).toBe(true);
  });

  it('has types for them, and for all that a training takes and gives', () => {
    for (const name of ['@types/node', 'typescript']) link(name);
    const strict = ['--strict', '--noUncheckedIndexedAccess', '--noEmit'];
    const modules = ['--target', 'es2023', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', 'node'];
    for (const [index, code] of library().entries()) writeFileSync(join(folder, `example-${index}.ts`), code);
    writeFileSync(
      join(folder, 'types.ts'),
      `import {
  createTrainProgress, defaultTrainSettings, explainTraining, findLearningRate, LowrankError, presetNames, presets, train, withPreset,
  type LrFindReport, type PresetName, type TrainEpoch, type TrainExplainReport, type TrainOptions, type TrainProgress,
  type TrainReport, type TrainSettings,
} from 'lowrank';

const name: PresetName = presetNames[0];
const settings: TrainSettings = { ...defaultTrainSettings, ...presets[name], ...withPreset(name, { lr: 0.1, nesterov: false }) };
const progress: TrainProgress = createTrainProgress({ stream: process.stderr, enabled: false });
const epochs: TrainEpoch[] = [];
const options: TrainOptions = {
  model: 'model.onnx', output: 'out.onnx', data: 'photos', settings, progress, strict: true,
  signal: new AbortController().signal, onEpoch: (epoch) => epochs.push(epoch),
};
export const all: () => Promise<[TrainReport, TrainExplainReport, LrFindReport]> = async () =>
  [await train(options), await explainTraining(options), await findLearningRate(options)];
export const code = (error: LowrankError): string => error.code;
// @ts-expect-error a rule that there is not
export const wrong: TrainSettings = { ...settings, optimizer: 'lion' };
`,
    );
    const files = [...library().map((_, index) => `example-${index}.ts`), 'types.ts'];
    const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
    const { code, stdout } = execute(process.execPath, [tsc, ...strict, ...modules, ...files]);
    expect(stdout).toBe('');
    expect(code).toBe(0);
  });

  it('has the schemas of what it prints', () => {
    const code =
      "import schema from 'lowrank/schemas/convert.schema.json' with { type: 'json' }; console.log(schema.$ref);";
    writeFileSync(join(folder, 'schema.js'), code);
    expect(execute(process.execPath, ['schema.js']).stdout).toBe('#/definitions/ConvertReport\n');
  });

  it('has every command', () => {
    for (const [name, path] of Object.entries(manifest.bin)) {
      const { code, stdout } = execute(process.execPath, [join(installed, path), '--help']);
      expect({ name, code }).toEqual({ name, code: 0 });
      expect(stdout).toContain(`Usage: ${name}`);
    }
  });

  it('brings what its documents name, and nothing that is only for its development', () => {
    for (const name of [
      'README.md',
      'ARCHITECTURE.md',
      'LICENSE',
      'NOTICE',
      'CHANGELOG.md',
      'SECURITY.md',
      'docs',
      'examples',
      'studies',
    ]) {
      expect(existsSync(join(installed, name)), name).toBe(true);
    }
    expect(readdirSync(installed)).not.toContain('test');
    expect(readdirSync(join(installed, 'dist')).toSorted()).toEqual(['models', 'package.json', 'src']);
  });
});
