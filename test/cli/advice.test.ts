import { describe, expect, it } from 'vitest';
import { errorFor, flagsIn, type Known, remedyFor } from '../../src/cli/advice.js';
import type { CommandDefinition } from '../../src/cli/command.js';
import { COMMANDS } from '../../src/cli/lowrank.js';
import { kebabCase } from '../../src/cli/options.js';
import { LowrankError } from '../../src/errors.js';
import { textsOf } from './support/named-options.js';

const commands = await Promise.all(
  Object.entries(COMMANDS).map(async ([name, entry]) => ({ name, command: (await entry.load()).command })),
);

/** What a command can be told, with these options given; all of them where none are named. */
function known(command: CommandDefinition, given: readonly string[] = Object.keys(command.options)): Known {
  return { options: command.options, keys: command.keys, given: new Set(given) };
}
const of = (name: string, given?: readonly string[]): Known =>
  known(commands.find((each) => each.name === name)!.command, given);

function flagsOf({ options }: CommandDefinition): ReadonlySet<string> {
  const frame = ['--json', '--quiet', '--config', '--help', '--help-all', '--version'];
  const own = Object.entries(options).flatMap(([name, { type, also = [] }]) =>
    [name, ...also]
      .map(kebabCase)
      .flatMap((each) => (type === 'boolean' ? [`--${each}`, `--no-${each}`] : [`--${each}`])),
  );
  return new Set([...frame, ...own]);
}

/** Texts outside remedies that reach only commands which have the option, though others import the file. */
const elsewhere: readonly { readonly file: string; readonly why: string }[] = [
  { file: 'training/options.ts', why: 'only `train` can ask for CUDA' },
  { file: 'step/prepare-model.ts', why: 'only commands with --decay can name what is decayed' },
  { file: 'step/prepare-matching.ts', why: 'only `train` and `artifacts` have a teacher' },
  { file: 'step/match-settings.ts', why: '`convert` gives no precision' },
  { file: 'recover/recover.ts', why: 'they are the places of an error in what was given' },
  { file: 'recover/settings.ts', why: 'only `train` goes block by block' },
  { file: 'recover/open.ts', why: '`convert` neither runs the teacher once nor changes pictures otherwise' },
  { file: 'recover/images.ts', why: '`convert` asks for no labels' },

  { file: 'images/images.ts', why: 'they are the places of an error in what was given' },
  { file: 'step/parameters.ts', why: 'only commands with --freeze can name what is frozen' },
  { file: 'factorize/plan.ts', why: 'only `convert` has the modes of ranks that these name' },
  { file: 'convert/settings.ts', why: 'they name an option that was given' },
  {
    file: 'convert/open.ts',
    why: 'only `convert` and `study` open conversions; `compare` names the initializations that it lacks itself',
  },
  { file: 'convert/choose-and-fit.ts', why: 'only `convert` chooses ranks by agreement' },
  { file: 'convert/choose-ranks.ts', why: 'only `convert` chooses ranks by agreement' },
  { file: 'convert/curve.ts', why: 'only `convert` makes a curve' },
  { file: 'convert/agreement-advice.ts', why: 'it speaks of the conversion that was measured' },
  { file: 'factorize/sampled/settings.ts', why: 'only commands with --init have settings of sampled fits' },
  { file: 'factorize/sampled/fit-pair.ts', why: 'only commands with --init fit by samples' },
  { file: 'factorize/candidates.ts', why: 'only commands that factorize say why a layer is kept' },
  { file: 'factorize/sampled/options.ts', why: 'they name an option that was given, with --init beside it' },
  { file: 'training/recalibrate.ts', why: 'the path that its option names: only convert has made one' },
  { file: 'images/calibrate.ts', why: 'the path that its option names, under its former name too' },
  { file: 'factorize/inits/whitened.ts', why: 'what --init of `convert` says in its help' },
  { file: 'factorize/inits/lfai-data.ts', why: 'what --init of `convert` says in its help' },
  { file: 'images/labelled-images.ts', why: 'only commands with --classes open labelled images' },
  { file: 'report/preparation-text.ts', why: 'only reports of labelled images have an order of classes' },
  { file: 'convert/search-by-accuracy.ts', why: 'the paths that its options name: only convert has made one' },
  { file: 'report/verdict.ts', why: 'it speaks of the conversion that the report is of' },
  { file: 'adapt/settings.ts', why: 'only `train` and `artifacts` find ranks, and only `train` can be given a size' },
  { file: 'adapt/ranks.ts', why: 'only `train` can be given a size' },
  { file: 'training/schedule.ts', why: 'only `train` and `study` can be given a schedule' },
  { file: 'training/warmup-settings.ts', why: 'only `train` has epochs in full rank' },
  { file: 'convert/report.ts', why: '`convert` says it, and `train` of a conversion that --then tells it' },
  { file: 'convert/nearly-lost.ts', why: '`convert` says it, and `train` of a conversion that --then tells it' },
  { file: 'convert/function-approximation.ts', why: 'only commands with --init, or --then, fit whole models' },
  { file: 'report/html/theme.ts', why: 'custom properties of a style sheet' },
  { file: 'passes/fix-inputs.ts', why: 'its remedy is left out where a command lacks --input' },
  { file: 'passes/input-value.ts', why: 'only commands with --input give inputs a value' },
  { file: 'worker-flags.ts', why: "a flag of node's engine" },
];

describe('what commands advise', () => {
  it('leaves out what the command lacks, and what was not given', () => {
    const shape = 'give the shape of the input with --input-shape, or say the side of the images with --image-size';
    expect(remedyFor(shape, of('convert'))).toBe('give the shape of the input with --input-shape');
    expect(remedyFor(shape, of('train'))).toBe('say the side of the images with --image-size');
    const nesterov = 'set --optimizer sgd and --momentum above 0, or drop --nesterov';
    expect(remedyFor(nesterov, of('train', ['nesterov']))).toBe(nesterov);
    expect(remedyFor(nesterov, of('train', []))).toBe('set --optimizer sgd and --momentum above 0');
    expect(remedyFor('leave --resize out', of('train', []))).toBe(undefined);
    expect(remedyFor('leave --resize out', of('train', ['resize']))).toBe('leave --resize out');
    expect(remedyFor("see 'lowrank-data check', remove them, or raise --max-bad", of('artifacts'))).toBe(
      "see 'lowrank-data check', remove them",
    );
    expect(remedyFor('factorize more layers (--no-keep-first), or raise it', of('merge'))).toBe(
      'factorize more layers, or raise it',
    );
    expect(remedyFor('choose one of `lowrank create --list`', of('eval'))).toBe(
      'choose one of `lowrank create --list`',
    );
  });

  it('speaks of keys where options stand in a file', () => {
    expect(remedyFor('give --drop-path 0', of('study'))).toBe('give train.drop-path 0');
    expect(remedyFor("keep the layer with --exclude 'a'", of('study'))).toBe("keep the layer with convert.exclude 'a'");
    expect(remedyFor('name the images with --data', of('study'))).toBe('name the images with --data');
    const error = new LowrankError('USAGE', "--decay 'a*' matches no parameter", {
      place: '--decay',
      remedy: 'mend it',
    });
    expect(errorFor(error, of('study'))).toMatchObject({
      message: "train.decay 'a*' matches no parameter; train.decay; mend it",
      code: 'USAGE',
      cause: error,
    });
    expect(errorFor(error, of('train'))).toBe(error);
  });

  it('names options of ours only; command lines of other programs stand in backticks', () => {
    const all = new Set(commands.flatMap(({ command }) => [...flagsOf(command)]));
    const strange = commands.flatMap(({ name }) =>
      textsOf(name)
        .filter(({ file }) => !['report/html/theme.ts', 'worker-flags.ts'].includes(file))
        .flatMap(({ file, line, text }) =>
          flagsIn(text)
            .filter((flag) => !all.has(flag))
            .map((flag) => `${file}:${line} ${flag}`),
        ),
    );
    expect([...new Set(strange)]).toEqual([]);
  });

  it.each(commands)('$name: every remedy that can reach it names options of its own', ({ command, name }) => {
    const own = flagsOf(command);
    const remedies = textsOf(name).filter(({ isRemedy }) => isRemedy);
    expect(remedies.length).toBeGreaterThan(0);
    for (const { text, file, line } of remedies) {
      const remedy = remedyFor(text, known(command));
      const lacking = flagsIn(remedy ?? '').filter((flag) => !own.has(flag));
      expect(lacking, `${file}:${line} '${text}'`).toEqual([]);
    }
  });

  // `doctor` speaks of what other commands can do here; `study` says keys of its file.
  it.each(commands.filter(({ name }) => name !== 'doctor' && name !== 'study'))(
    '$name: whatever else it says names options of its own',
    ({ command, name }) => {
      const own = flagsOf(command);
      const lacking = textsOf(name)
        .filter(({ isRemedy, file }) => !isRemedy && !elsewhere.some((each) => each.file === file))
        .filter(({ file }) => !file.startsWith('cli/') || file === `cli/${name}.ts`)
        .flatMap(({ file, line, text }) =>
          flagsIn(text)
            .filter((flag) => !own.has(flag))
            .map((flag) => `${file}:${line} ${flag}`),
        );
      expect(lacking).toEqual([]);
    },
  );
});
