import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const text = readFileSync('ARCHITECTURE.md', 'utf8');
const rooms = readdirSync('src').filter((name) => statSync(join('src', name)).isDirectory());

interface Rule {
  readonly name: string;
  readonly to: { readonly path?: string; readonly pathNot?: string };
}
const { default: imports, rooms: allowed } = (await import(
  new URL('../.dependency-cruiser.mjs', import.meta.url).href
)) as {
  readonly default: { readonly forbidden: readonly Rule[] };
  readonly rooms: Readonly<Record<string, readonly string[]>>;
};

describe('ARCHITECTURE.md', () => {
  it('is short', () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(150);
  });

  it('says what each room does, once, and of no room that is gone', () => {
    const named = [...text.matchAll(/^\| `src\/([a-z]+)\/` \|/gm)].map(([, name]) => name);
    expect(named).toHaveLength(rooms.length);
    expect(new Set(named)).toEqual(new Set(rooms));
  });

  it('names no file or folder that is gone', () => {
    const paths = [...text.matchAll(/`((?:src|models|bin|bench|test|scripts|docs)\/[^`<>\s]*)`/g)].map(
      ([, path]) => path!,
    );
    expect(paths.length).toBeGreaterThan(40);
    expect(paths.filter((path) => !existsSync(path))).toEqual([]);
    const patterns = [...text.matchAll(/`((?:src|models|bin)\/[^`]*)<name>[^`]*`/g)].map(([, path]) => path!);
    const folders = patterns.map((path) => path.slice(0, path.lastIndexOf('/') + 1));
    expect(folders.filter((path) => !existsSync(path))).toEqual([]);
  });
});

describe('the table of imports', () => {
  it('has every room but the commands, and only rooms and files that there are', () => {
    expect(new Set([...Object.keys(allowed), 'cli'])).toEqual(new Set(rooms));
    const missing = Object.values(allowed)
      .flat()
      .filter((path) => !existsSync(join('src', path)) && !existsSync(join('src', `${path}.ts`)));
    expect(missing).toEqual([]);
  });

  it.each([
    ['step', 'src/runtime/driver.ts', true],
    ['step', 'src/training/loop.ts', true],
    ['step', 'src/lower/target.ts', false],
    ['factorize', 'src/convert/convert.ts', true],
    ['factorize', 'src/rewrite/layers.ts', false],
    ['evaluate', 'src/training/loop.ts', true],
    ['passes', 'src/runtime/types.ts', false],
    ['passes', 'src/runtime/driver.ts', true],
    ['files', 'src/onnx/tensor.ts', true],
  ])('%s and %s: forbidden is %s', (room, path, isForbidden) => {
    const { to } = imports.forbidden.find(({ name }) => name === room)!;
    expect(new RegExp(to.path!).test(path) && !new RegExp(to.pathNot!).test(path)).toBe(isForbidden);
  });
});

/** Files of more than `mostLines`, and functions of more than `mostFunctionLines`, and why they are in one piece. */
const mostLines = 300;
const mostFunctionLines = 120;
const inOnePiece: Readonly<Record<string, string>> = {
  'graph/graph.ts': 'one class, whose methods keep the lists of nodes, values and uses in step',
  'linalg/dense/divide-and-conquer.ts': 'one algorithm, whose steps share its arrays',
  'ops/emitter.ts': 'one class, whose methods share the names, types and constants of a graph',
  'report/html/compare-html.ts': 'one page, section by section',
  'report/html/convert-html.ts': 'one page, section by section',
  'report/html/train.ts': 'one page, section by section',
  'study/run.ts': 'one class, whose methods share the cells of a study and their store',
};

interface Sized {
  readonly name: string;
  readonly lines: number;
  readonly most: number;
}

/** A file of src, `room/file.ts`, and its functions, `room/file.ts name`. */
function sizesOf(file: string): readonly Sized[] {
  const source = ts.createSourceFile(file, readFileSync(join('src', file), 'utf8'), ts.ScriptTarget.Latest, true);
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const sizes: Sized[] = [{ name: file, lines: lineOf(source.end), most: mostLines }];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const named = ts.isVariableDeclaration(node.parent) ? node.parent : node;
      const name = `${file} ${named.name?.getText() ?? `at line ${lineOf(node.getStart()) + 1}`}`;
      sizes.push({ name, lines: lineOf(node.end) - lineOf(node.getStart()) + 1, most: mostFunctionLines });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return sizes;
}

describe('files and functions', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'));
  const large = files.flatMap(sizesOf).filter(({ lines, most }) => lines > most);

  it(`have at most ${mostLines} and ${mostFunctionLines} lines, but for those that have a reason`, () => {
    const others = large.filter(({ name }) => !Object.hasOwn(inOnePiece, name));
    expect(others.map(({ name, lines }) => `${name}: ${lines} lines`)).toEqual([]);
  });

  it('have no reason that they do not need', () => {
    const names = new Set(large.map(({ name }) => name));
    expect(Object.keys(inOnePiece).filter((name) => !names.has(name))).toEqual([]);
  });
});

describe('tests', () => {
  it('import no entry of the library, which names options its own way in all files of a process', () => {
    const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const entry = /from '(?:\.\.\/)+src\/index\.js'/;
    const importing = files.filter((file) => entry.test(readFileSync(join('test', file), 'utf8')));
    expect(importing).toEqual(['library-words.test.ts']);
  });
});
