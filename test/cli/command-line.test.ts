import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readConfigFile } from '../../src/cli/config-file.js';
import { command as artifacts } from '../../src/cli/artifacts.js';
import { command as convert } from '../../src/cli/convert.js';
import { commandLineOf, mergeSettings, type OptionDefinition } from '../../src/cli/options.js';
import { parseCommandLine } from '../../src/cli/parse.js';
import { command as trainCommand } from '../../src/cli/train.js';
import { settingsFor, trainOptions } from '../../src/cli/train-settings.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { expectFailure, lowrank, run, temporaryFolder } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();

/** A value that the option takes, and that is hard on shells and parsers. */
function valueOf(definition: OptionDefinition): fc.Arbitrary<unknown> {
  switch (definition.type) {
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: definition.minimum ?? 0, max: 1000 });
    case 'number':
      return fc.double({ min: 1e-6, max: 0.99, noNaN: true });
    case 'string':
      return definition.choices === undefined ? hardText : fc.constantFrom(...definition.choices);
    case 'list':
      return fc.array(hardText, { minLength: 1, maxLength: 3 });
  }
}

const hardText = fc.oneof(
  fc.constantFrom(
    "it's",
    '-1,2',
    '--force',
    'a b',
    '$(HOME)',
    '`x`',
    '*',
    '~',
    '!',
    '"',
    '\\',
    'é',
    ' ',
    '#',
    'a=b',
    '@',
  ),
  fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme-ascii' }),
);

/** The words that a shell makes of a line. */
function shellWords(line: string): string[] {
  const { stdout } = spawnSync('sh', ['-c', `for word in "$@"; do :; done; printf '%s\\0' ${line}`], {
    encoding: 'utf8',
  });
  return stdout.split('\0').slice(0, -1);
}

describe('the command line of a report', () => {
  it.each([trainCommand, convert, artifacts])('$name: repeats the run, whatever the values are', (command) => {
    const options: Readonly<Record<string, OptionDefinition>> = command.options;
    const settings = fc.record(
      Object.fromEntries(Object.entries(options).map(([name, definition]) => [name, valueOf(definition)])),
      { requiredKeys: Object.keys(options).filter((name) => options[name]!.required === true) },
    );
    fc.assert(
      fc.property(settings, hardText, (given, model) => {
        const wanted = mergeSettings(options, given, {});
        const words = shellWords(commandLineOf(`lowrank ${command.name}`, [model], options, wanted));
        expect(words.slice(0, 2)).toEqual(['lowrank', command.name]);
        const parsed = parseCommandLine(command, 'lowrank', words.slice(2));
        if (parsed.kind !== 'run') throw new Error(parsed.text);
        expect(parsed.arguments).toEqual({ model });
        expect(mergeSettings(options, {}, parsed.flags)).toEqual(wanted);
      }),
      { numRuns: 60, seed: 7 },
    );
  });
});

describe('presets on the command line', () => {
  const parse = (...words: readonly string[]): ReturnType<typeof settingsFor> => {
    const parsed = parseCommandLine(trainCommand, 'lowrank train', ['m.onnx', '--data', 'd', ...words]);
    if (parsed.kind !== 'run') throw new Error(parsed.text);
    return settingsFor(mergeSettings(trainOptions, {}, parsed.flags) as Parameters<typeof settingsFor>[0]);
  };
  const fromFile = async (yaml: string): Promise<ReturnType<typeof settingsFor>> => {
    const path = join(folder, 'train.yaml');
    writeFileSync(path, `data: d\n${yaml}`);
    const file = await readConfigFile(path, trainOptions);
    return settingsFor(mergeSettings(trainOptions, file, {}) as Parameters<typeof settingsFor>[0]);
  };

  it('give way to what is given, and false is given', async () => {
    expect(parse('--preset', 'fine-tune').nesterov).toBe(true);
    expect(parse('--preset', 'fine-tune', '--no-nesterov').nesterov).toBe(false);
    expect(parse('--no-nesterov', '--preset', 'fine-tune').nesterov).toBe(false);
    expect((await fromFile('preset: fine-tune\nnesterov: false\n')).nesterov).toBe(false);
    expect((await fromFile('preset: fine-tune\noptimizer: adam\n')).nesterov).toBe(undefined);
    expect(parse('--preset', 'fine-tune', '--momentum', '0')).not.toHaveProperty('nesterov');
    expect(parse('--preset', 'imagenet-efficientnet', '--ema', '0', '--drop-path', '0')).toMatchObject({
      ema: 0,
      dropPath: 0,
    });
  });
});

describe('lowrank train', () => {
  const model = join(folder, 'model.onnx');
  const chain = join(folder, 'chain.onnx');
  beforeAll(async () => {
    await writeTextures(join(folder, 'pho to$'), 4, 1);
    writeFileSync(model, tinyClassifier());
    expect(run('create', 'lenet5', '--num-classes', '3', '-o', chain).code).toBe(0);
  });
  const words = (...more: readonly string[]): string[] => [
    ...['train', model, '--data', join(folder, 'pho to$'), '--threads', '1', '--workers', '0', '--quiet'],
    ...more,
  ];

  it('says the command that repeats a training with a preset and a configuration file', () => {
    const config = join(folder, 'fine tune.yaml');
    writeFileSync(config, 'preset: fine-tune\nnesterov: false\nepochs: 1\nbatch-size: 4\ndecay: ["fc.*"]\n');
    const [one, other] = ['a', 'b'].map((name) => join(folder, `it's ${name}.onnx`)) as [string, string];
    const first = run(...words('--config', config, '-o', one, '--json'));
    expect(first.stderr).toBe('');
    const report = JSON.parse(first.stdout) as TrainReport;
    expect(report.settings).toMatchObject({ nesterov: false, decay: ['fc.*'], lr: (0.04 * 4) / 256 });
    const line = report
      .command!.replaceAll("it'\\''s a.onnx", "it'\\''s b.onnx")
      .replace(/^lowrank/, '"$NODE" "$PROGRAM"');
    const again = spawnSync('sh', ['-c', `${line} --json --quiet`], {
      encoding: 'utf8',
      env: { ...process.env, NODE: process.execPath, PROGRAM: lowrank },
    });
    expect(again.stderr).toBe('');
    const repeated = JSON.parse(again.stdout) as TrainReport;
    expect(repeated.output).toMatchObject({ path: other, sha256: report.output!.sha256 });
    expect({ ...repeated.settings, output: '' }).toEqual({ ...report.settings, output: '' });
  });

  it.each([
    ['--ema', '1'],
    ['--momentum', '1'],
    ['--beta2', '0.999999999'],
    ['--lr', '0'],
    ['--dropout', '1'],
    ['--clip', '0'],
  ])('refuses %s %s', (option, value) => {
    const line = new RegExp(`'${value}' is out of range; option '${option}'; give a number, .*(below 1|above 0)`);
    expectFailure(run(...words(option, value)), 'USAGE', line, 2);
  });

  it.each([
    [
      ['--mean', '0.5,0.5,0.5', '--std', '0.5,0,0.5'],
      /a standard deviation of 0.5, 0, 0.5 divides by none; give --std/,
    ],
    [['--mean', '0.5,,0.5', '--std', '1,1,1'], /--mean is '0.5,,0.5'; give numbers/],
  ])('refuses %j', (options, line) => {
    expectFailure(run(...words(...options)), 'USAGE', line, 2);
  });

  it('does not advise to leave out what a preset gave', () => {
    const outcome = run(
      ...words('--preset', 'imagenet-efficientnet', '--epochs', '1', '--batch-size', '4', '--warmup', '0').map(
        (word) => (word === model ? chain : word),
      ),
    );
    expectFailure(outcome, 'UNSUPPORTED', /a drop path of 0.2 has no place: .*; give --drop-path 0$/m);
  });

  it('says of a preset what is for another rule', () => {
    const { stderr } = run(
      ...words('--preset', 'imagenet-resnet', '--optimizer', 'adam', '--explain', '--json').filter(
        (word) => word !== '--quiet',
      ),
    );
    expect(stderr).toMatch(/^warning: the learning rate of imagenet-resnet is for sgd, not adam: --lr sets another/m);
  });
});
