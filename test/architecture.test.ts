import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
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
