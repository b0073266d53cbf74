import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/lowrank.js';
import { commandWords, optionWords } from '../../src/cli/meant.js';
import { kebabCase } from '../../src/cli/options.js';
import { parseCommandLine, parseRoot } from '../../src/cli/parse.js';
import type { LowrankError } from '../../src/errors.js';

const commands = new Map(
  await Promise.all(
    Object.entries(COMMANDS).map(async ([name, entry]) => [name, (await entry.load()).command] as const),
  ),
);

/** The line of the error of wrong words. */
function complaint(...words: readonly string[]): string {
  const [name = '', ...rest] = words;
  const command = commands.get(name);
  try {
    if (command === undefined) parseRoot(COMMANDS, '', words);
    else parseCommandLine(command, `lowrank ${name}`, rest);
  } catch (error) {
    return (error as LowrankError).message;
  }
  throw new Error(`nothing is wrong with ${words.join(' ')}`);
}

describe('words of other programs', () => {
  it.each([
    ['compress m.onnx', "unknown command 'compress'; did you mean convert?"],
    ['quantize m.onnx', "unknown command 'quantize'; did you mean convert? (it factorizes; lowrank does not quantize)"],
    ['finetune m.onnx', "unknown command 'finetune'; did you mean train?"],
    ['evaluate m.onnx', "unknown command 'evaluate'; did you mean eval?"],
    ['my/m.onnx', "unknown command 'my/m.onnx'; say what to do with it: lowrank convert my/m.onnx"],
    ['convrt m.onnx', "unknown command 'convrt'; did you mean convert?"],
    ['zzz m.onnx', "unknown command 'zzz'; see 'lowrank --help'"],
    ['convert m.onnx --ratio 0.5', "unknown option '--ratio'; did you mean --macs-budget or --params-budget?"],
    ['convert m.onnx --ratio=0.5', "unknown option '--ratio=0.5'; did you mean --macs-budget or --params-budget?"],
    ['convert m.onnx --images photos', "unknown option '--images'; did you mean --data?"],
    ['convert m.onnx --size 32', "unknown option '--size'; did you mean --image-size?"],
    ['eval m.onnx --images photos', "unknown option '--images'; did you mean --data?"],
    ['eval m.onnx --val photos', "unknown option '--val'; did you mean --data?"],
    ['eval m.onnx --data photos --size 32', "unknown option '--size'; did you mean --image-size?"],
    ['train m.onnx --imgsz 32', "unknown option '--imgsz'; did you mean --image-size?"],
    ['train m.onnx --learning_rate 1', "unknown option '--learning_rate'; did you mean --lr?"],
    ['train m.onnx --batch_size 1', "unknown option '--batch_size'; did you mean --batch-size?"],
    ['train m.onnx -data photos', "unknown option '-data'; did you mean --data?"],
    ['create resnet18 --classes 10', "unknown option '--classes'; did you mean --num-classes?"],
    ['merge m.onnx --overwrite', "unknown option '--overwrite'; did you mean --force?"],
    ['data check photos --size-budget 3', "unknown option '--size-budget'; see 'lowrank data --help'"],
    ['doctor --jsn', "unknown option '--jsn'; did you mean --json?"],
  ])('%s: %s', (line, expected) => {
    expect(complaint(...line.split(' '))).toBe(expected);
  });

  it('lead to commands and options that there are, and are none of them', () => {
    expect(Object.keys(commandWords).filter((name) => !commands.has(name))).toEqual([]);
    expect(
      Object.values(commandWords)
        .flat()
        .filter((word) => commands.has(word)),
    ).toEqual([]);
    const options = new Set(['json', 'quiet', 'config', 'help', 'version']);
    for (const command of commands.values())
      for (const name of Object.keys(command.options)) options.add(kebabCase(name));
    expect(Object.keys(optionWords).filter((name) => !options.has(name))).toEqual([]);
  });
});

describe('names of options', () => {
  const pictures = {
    convert: 'calibrate',
    compare: 'data',
    inspect: 'data',
    train: 'data',
    eval: 'data',
    study: 'data',
  };
  it.each(Object.entries(pictures))('%s takes images by --data, and by the name it had', (name, option) => {
    const parse = (flag: string): unknown => {
      const parsed = parseCommandLine(commands.get(name)!, name, ['m.onnx', flag, 'photos']);
      return parsed.kind === 'run' ? parsed.flags : parsed;
    };
    expect(parse('--data')).toEqual({ [option]: 'photos' });
    if (['convert', 'compare', 'inspect'].includes(name)) expect(parse('--calibrate')).toEqual({ [option]: 'photos' });
  });

  it('are in no help where they are former ones; --cache has one meaning in all of them', () => {
    const helps = [...commands].map(([name, command]) => {
      const parsed = parseCommandLine(command, name, ['--help-all']);
      return [name, parsed.kind === 'show' ? parsed.text : ''] as const;
    });
    expect(helps.filter(([, help]) => help.includes('--cache ')).map(([name]) => name)).toEqual(['convert']);
    expect(helps.filter(([, help]) => /--calibrate </.test(help)).map(([name]) => name)).toEqual(['convert']);
    // Other names are never those of other options.
    for (const { options } of commands.values()) {
      for (const { also = [], formerly = [] } of Object.values(options)) {
        expect([...also, ...formerly].filter((other) => other in options)).toEqual([]);
      }
    }
  });
});
