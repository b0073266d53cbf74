import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { fixInputs, withFixed } from '../../src/passes/fix-inputs.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import { countParameters } from '../../src/rewrite/count.js';
import { floats, labels, npy } from '../data/support/npy.js';
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { buildModel, type TestType, type TestValue } from '../support/models.js';

let folder: string;
freshFolderForEach((fresh) => (folder = fresh));

/** y = x · float(a) + b, with an input a of any type. */
function model(a: TestValue, batch: number | string = 'n'): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', dims: [batch, 2, 3] }, a, { name: 'b', dims: [] }],
    outputs: [{ name: 'y', dims: [batch, 2, 3] }],
    nodes: [
      { op: 'Cast', inputs: ['a'], outputs: ['f'], attributes: { to: 1 } },
      { op: 'Mul', inputs: ['x', 'f'], outputs: ['p'] },
      { op: 'Add', inputs: ['p', 'b'], outputs: ['y'] },
    ],
  });
}

const x = (count: number): RuntimeTensor => ({
  type: 'float32',
  dims: [count, 2, 3],
  data: Float32Array.from({ length: count * 6 }, (_, at) => at + 1),
});

async function run(bytes: Uint8Array, feeds: Readonly<Record<string, RuntimeTensor>>): Promise<readonly number[]> {
  const session = await (await loadDriver()).createSession(bytes, {});
  try {
    return Array.from((await session.run(feeds))['y']!.data as Float32Array);
  } finally {
    await session.close();
  }
}

describe('inputs of one value', () => {
  it.each<readonly [TestType, string, readonly number[]]>([
    ['float32', '0.5', [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]],
    ['float64', '-2', [-2, -2, -2, -2, -2, -2]],
    ['float16', '0.25', [0.25, 0.25, 0.25, 0.25, 0.25, 0.25]],
    ['int64', '1,2,3,4,5,6', [1, 2, 3, 4, 5, 6]],
    ['int32', '-1,2,3,4,5,6', [-1, 2, 3, 4, 5, 6]],
    ['uint8', '255', [255, 255, 255, 255, 255, 255]],
    ['bool', 'true, false,1,0,1,1', [1, 0, 1, 0, 1, 1]],
  ])('of type %s are what the model is fed', async (type, text, values) => {
    for (const [dims, isFoldable] of [
      [['n', 2, 3], false],
      [[2, 3], false],
      [[2, 3], true],
    ] as const) {
      const bytes = model({ name: 'a', type, dims });
      const bound = readModel(bytes);
      const fixed = fixInputs(bound, [`a=${text}`, 'b=10'], isFoldable);
      expect(bound.graph.inputs.map(({ name }) => name)).toEqual(['x']);
      const feeds = { x: x(3) };
      const expected = Array.from(x(3).data as Float32Array, (value, at) => value * values[at % 6]! + 10);
      expect(await run(modelBytes(bound), feeds)).toEqual(expected);
      expect(await run(bytes, withFixed(feeds, fixed))).toEqual(expected);
      expect(countParameters(bound.graph)).toBe(0);
    }
  });

  it('are inputs again where they are released: the file is as it was, byte for byte', () => {
    const bytes = model({ name: 'a', type: 'int64', dims: ['n', 2, 3] });
    for (const isFoldable of [false, true]) {
      const bound = readModel(bytes);
      const fixed = fixInputs(bound, ['b=1', 'a=2'], isFoldable);
      expect(Buffer.compare(modelBytes(bound), bytes)).not.toBe(0);
      fixed.release();
      expect(Buffer.compare(modelBytes(bound), bytes)).toBe(0);
    }
  });

  it('may come from files, with a batch of one or without, and fill an open dimension', async () => {
    const file = join(folder, 'a.npy');
    const values = [1, 2, 3, 4, 5, 6];
    const expected = values.map((value) => value * value);
    for (const dims of [
      [2, 3],
      [1, 2, 3],
    ]) {
      writeFileSync(file, floats(dims, values));
      for (const declared of [
        ['n', 2, 3],
        ['n', 2, 'w'],
        [1, 2, 3],
      ]) {
        const bound = readModel(model({ name: 'a', dims: declared }));
        fixInputs(bound, [`a=@${file}`, 'b=0']);
        expect(await run(modelBytes(bound), { x: x(1) })).toEqual(expected);
      }
    }
    const bound = readModel(model({ name: 'a', type: 'int64', dims: ['n', 2, 'w'] }));
    fixInputs(bound, ['a=1,2,3,4,5,6', 'b=0']);
    expect(await run(modelBytes(bound), { x: x(1) })).toEqual(expected);
  });

  it('of a model that has them fixed already are left', () => {
    const bound = readModel(model({ name: 'a', dims: ['n', 2, 3] }));
    fixInputs(bound, ['a=1', 'b=2']);
    const again = readModel(modelBytes(bound));
    fixInputs(again, ['a=1', 'b=2']);
    expect(Buffer.compare(modelBytes(again), modelBytes(bound))).toBe(0);
  });

  it.each([
    ['c=1', 'USAGE', /no input 'c'.*'a' int64 \[n, 2, 3\], 'b' float32 \[\]/],
    ['a', 'USAGE', /'a' says no input and its value/],
    ['a=', 'USAGE', /'' is no number/],
    ['a=one', 'USAGE', /'one' is no number/],
    ['a=1,2', 'USAGE', /'a' is int64 \[n, 2, 3\], and 2 numbers cannot fill it/],
    ['a=0.5', 'USAGE', /0\.5 is none/],
    ['a=1e30', 'USAGE', /is none/],
    ['a=@none.npy', 'INPUT', /none\.npy/],
  ] as const)('are refused where they do not fit: %s', async (text, code, words) => {
    const bound = readModel(model({ name: 'a', type: 'int64', dims: ['n', 2, 3] }));
    const error = await failureOf(code, () => fixInputs(bound, [text, 'b=1']));
    expect(error.message).toMatch(words);
  });

  it('are refused from files of another shape, of objects, and where an open dimension is not said', async () => {
    const file = join(folder, 'a.npy');
    const bound = readModel(model({ name: 'a', dims: ['n', 2, 3] }));
    writeFileSync(file, labels([1, 2]));
    expect((await failureOf('USAGE', () => fixInputs(bound, [`a=@${file}`]))).message).toContain(
      'an array of [2] cannot',
    );
    writeFileSync(file, npy(`'|O'`, [1], Buffer.alloc(8)));
    await failureOf('UNSUPPORTED', () => fixInputs(bound, [`a=@${file}`]));
    const open = readModel(model({ name: 'a', dims: ['n', 2, 'w'] }));
    expect((await failureOf('USAGE', () => fixInputs(open, ['a=1']))).message).toContain('one number cannot fill it');
  });

  it('must leave the images, and them alone', async () => {
    const bytes = model({ name: 'a', dims: ['n', 2, 3] });
    for (const given of [['a=1'], ['a=1', 'b=1', 'x=1']]) {
      const bound = readModel(bytes);
      await failureOf('UNSUPPORTED', () => fixInputs(bound, given));
      expect(Buffer.compare(modelBytes(bound), bytes)).toBe(0);
    }
  });
});
