import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { inFields } from '../src/fields.js';
import * as library from '../src/index.js';
import { run, temporaryFolder } from './support/command.js';
import { tinyClassifier, writeTextures } from './support/tiny-classifier.js';

const { LowrankError } = library;
const src = fileURLToPath(new URL('../src', import.meta.url));
const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const model = at('tiny.onnx');

beforeAll(async () => {
  writeFileSync(model, tinyClassifier());
  writeFileSync(at('there.onnx'), 'mine');
  await writeTextures(at('photos'), 4, 1);
  mkdirSync(at('empty'));
});

describe('the words of the library', () => {
  it.each([
    ['--rank-scale is 2', '`rankScale` is 2'],
    ['lower --workers, or lower --threads', 'lower `workers`, or lower `threads`'],
    [
      'factorize more layers (--no-keep-first, --no-keep-last)',
      'factorize more layers (`keepFirst: false`, `keepLast: false`)',
    ],
    ['give the shape with --input-shape', 'give the shape with `inputShapes`'],
    ['choose another with -o', 'choose another with `output`'],
    // What is of users, of paths, of other programs and no option stays.
    ["layer '--exclude' of /tmp/--data/x and a--b", "layer '--exclude' of /tmp/--data/x and a--b"],
    [
      'see `lowrank create --list`, or run `npm ci --ignore-scripts`',
      'see `lowrank create --list`, or run `npm ci --ignore-scripts`',
    ],
    ['--train--loud and --/x', '--train--loud and --/x'],
  ])('%s', (flags, fields) => {
    expect(inFields(flags)).toBe(fields);
    expect(inFields(fields)).toBe(fields);
  });

  it('are its own: whatever texts outside of the commands name is a field or a function', () => {
    const known = namesOfLibrary();
    const strange = textsOutsideOfCommands().flatMap(({ file, text }) => {
      const said = inFields(text);
      const left = said.replaceAll(/`[^`]*`/g, '').match(/(?<![\w-])--[a-z][\w-]*/g) ?? [];
      const own = new Set(text.match(/`[^`]*`/g));
      const named = (said.match(/`[^`]*`/g) ?? []).filter((each) => !own.has(each));
      const missing = named.filter((each) => !known.has(each.replaceAll('`', '').replace(': false', '')));
      return [...left, ...missing].map((word) => `${file}: ${word}`);
    });
    expect([...new Set(strange)]).toEqual([]);
  });
});

/** Fields of options, settings and calls, and what the library exports beside types. */
function namesOfLibrary(): ReadonlySet<string> {
  const names = new Set(Object.keys(library));
  for (const source of sourceFiles()) {
    for (const statement of source.statements) {
      if (!ts.isInterfaceDeclaration(statement) || !/(Options|Settings|Call|Study)$/.test(statement.name.text))
        continue;
      for (const { name } of statement.members) if (name !== undefined) names.add(name.getText(source));
    }
  }
  return names;
}

let files: readonly ts.SourceFile[] | undefined;

function sourceFiles(): readonly ts.SourceFile[] {
  files ??= readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('cli'))
    .map((file) => ts.createSourceFile(file, readFileSync(join(src, file), 'utf8'), ts.ScriptTarget.Latest, true));
  return files;
}

/** Files whose texts are read by nobody who calls the library, or name no options. */
const elsewhere = new Set(['report/html/theme.ts', 'worker-flags.ts', 'fields.ts']);

function textsOutsideOfCommands(): readonly { readonly file: string; readonly text: string }[] {
  const texts: { readonly file: string; readonly text: string }[] = [];
  for (const source of sourceFiles()) {
    const { fileName: file } = source;
    if (elsewhere.has(file)) continue;
    const visit = (node: ts.Node): void => {
      if (ts.isStringLiteralLike(node) && node.text.includes('--')) texts.push({ file, text: node.text });
      if (ts.isTemplateExpression(node)) {
        const text = node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('');
        if (text.includes('--')) texts.push({ file, text });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return texts;
}

describe('who calls the library', () => {
  const output = at('out.onnx');
  const images = { model, data: at('photos'), output };
  const settings = (more: Partial<library.TrainSettings>) => ({ ...images, settings: { batchSize: 4, ...more } });
  const plain = { output, calibrate: 'none' } as const;
  const calls: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['convert', () => library.convert(model, { ...plain, rankScale: 2 }), /`rankScale`/],
    ['convert', () => library.convert(model, { ...plain, rankScale: 0.5, energy: 0.5 }), /`(rankScale|energy)`/],
    ['convert', () => library.convert(model, { ...plain, include: ['zzz'] }), /^`include` 'zzz' matches no layer/],
    ['convert', () => library.convert(model, { ...plain, ranks: { zzz: 1 } }), /^`ranks` names 'zzz'/],
    ['convert', () => library.convert(model, { ...plain, paramsBudget: 1e-6 }), /`paramsBudget`.*`keepFirst: false`/],
    ['convert', () => library.convert(model, { ...plain, accuracyBudget: 1 }), /`accuracyBudget`/],
    ['convert', () => library.convert(model, { ...plain, output: at('there.onnx') }), /pass `force` to replace it/],
    ['convert', () => library.convert(model, { ...plain, output: model, force: true }), /choose another with `output`/],
    ['convert', () => library.convert(model, { ...plain, init: 'whitened' }), /`calibrate`/],
    ['merge', () => library.merge(model, { output: at('there.onnx') }), /pass `force` to replace it/],
    ['train', () => library.train(settings({ nesterov: true, momentum: 0 })), /`momentum`.*`nesterov`/],
    ['train', () => library.train(settings({ freeze: ['zzz'] })), /`freeze` 'zzz'/],
    ['train', () => library.train({ ...settings({}), output: at('there.onnx') }), /`force`/],
    ['train', () => library.train({ ...settings({}), resume: true }), /./],
    ['evaluateModel', () => library.evaluateModel({ model, data: at('empty') }), /./],
    [
      'writeArtifacts',
      () => library.writeArtifacts(model, at('a'), { settings: { target: 'cpu' } }),
      /`target` cpu.*`batchSize`/,
    ],
    ['writeArtifacts', () => library.writeArtifacts(model, model), /choose another with `output`/],
    ['writeBack', () => library.writeBack(model, { output }), /./],
  ];

  it.each(calls)('%s is told of fields: %#', async (_, call, words) => {
    const failure: unknown = await Promise.resolve()
      .then(call)
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(failure).toBeInstanceOf(LowrankError);
    const { message, fact, place = '', remedy = '' } = failure as library.LowrankError;
    expect(message).toMatch(words);
    for (const text of [message, fact, place, remedy])
      expect(text.replaceAll(/`[^`]*`/g, '')).not.toMatch(/(^|\s)--?[a-z]/);
  });

  it('reads of them in reports', async () => {
    const report = await library.convert(model, { ...plain, rankScale: 0.05, exclude: ['block1.*'], force: true });
    const reasons = new Set(report.layers.map(({ reason }) => reason));
    expect(reasons).toContain('excluded by `exclude`');
    expect(reasons).toContain('first layer (`keepFirst: false` factorizes it)');
    expect(JSON.stringify([report.warnings, [...reasons]])).not.toContain('--');
    // What names a field of a report, or is the user's, is as it was.
    expect(report.settings).toMatchObject({ exclude: ['block1.*'] });
  });

  it('is told of flags by the commands', () => {
    const { stderr } = run('convert', model, '-o', output, '--calibrate', 'none', '--include', 'zzz', '--force');
    expect(stderr).toMatch(/^error\[USAGE\]: --include 'zzz' matches no layer/);
  });
});
