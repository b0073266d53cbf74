import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { npyFile, npyHeader, npyNumbers, readNpyHeader } from '../../src/files/npy.js';
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { randomOf } from '../support/mutate.js';
import { python } from '../support/python.js';
import { floats, npy } from '../data/support/npy.js';

let folder: string;
freshFolderForEach((fresh) => (folder = fresh));

const numbersIn = (file: Uint8Array): readonly number[] => Array.from(npyNumbers(npyHeader(file), file), Number);

/** What a file ends in; all that is thrown is ours. */
function outcome(file: Uint8Array): string {
  try {
    return `read ${numbersIn(file).length}`;
  } catch (error) {
    expect(error).toBeInstanceOf(LowrankError);
    return (error as LowrankError).code;
  }
}

describe('.npy files', () => {
  it.each([1, 2, 3])('of version %i are read', (version) => {
    const file = npy(`'<f4'`, [2, 3], new Uint8Array(Float32Array.of(1, -2, 3.5, 4, 5, 6).buffer), { version });
    expect(npyHeader(file)).toMatchObject({ type: 'float32', dims: [2, 3], isBigEndian: false });
    expect(numbersIn(file)).toEqual([1, -2, 3.5, 4, 5, 6]);
  });

  it.each([
    ['|b1', [0, 1], [0, 1]],
    ['|i1', [0xff, 0x02], [-1, 2]],
    ['<i2', [0xfe, 0xff], [-2]],
    ['>i2', [0xff, 0xfe], [-2]],
    ['>u2', [0x01, 0x02], [258]],
    ['<i4', [0xfd, 0xff, 0xff, 0xff], [-3]],
    ['>i8', [0, 0, 0, 0, 0, 0, 1, 0], [256]],
    ['<f2', [0x00, 0xc0], [-2]],
    ['>f4', [0x3f, 0xc0, 0, 0], [1.5]],
    ['>f8', [0x3f, 0xf8, 0, 0, 0, 0, 0, 0], [1.5]],
  ] as const)('of %s are read', (descr, data, expected) => {
    expect(numbersIn(npy(`'${descr}'`, [expected.length], Uint8Array.from(data)))).toEqual(expected);
  });

  it('come back as they were written', () => {
    const data = new Uint8Array(Float64Array.of(1, 2).buffer);
    const file = npyFile({ type: 'float64', isBigEndian: false, dims: [2] }, data);
    expect(Buffer.compare(file, npy(`'<f8'`, [2], data))).toBe(0);
  });

  it.each([
    ['FORMAT', 'no .npy file', () => Buffer.from('PK\x03\x04 and more than twelve bytes')],
    ['FORMAT', 'version 9.0', () => npy(`'<f4'`, [1], Buffer.alloc(4), { version: 9 })],
    ['FORMAT', 'none of numpy', () => npy(`<f4`, [1], Buffer.alloc(4))],
    ['FORMAT', 'which no file holds', () => npy(`'<f4'`, [2 ** 40, 2 ** 40], Buffer.alloc(4))],
    ['FORMAT', 'the file is cut', () => npy(`'<f4'`, [2 ** 30], Buffer.alloc(4))],
    ['FORMAT', 'more than its header says', () => npy(`'<f4'`, [1], Buffer.alloc(8))],
    ['UNSUPPORTED', 'Fortran order', () => npy(`'<f4'`, [2, 2], Buffer.alloc(16), { isFortran: true })],
    ['UNSUPPORTED', 'pickled Python objects', () => npy(`'|O'`, [1], Buffer.from('\x80\x04cos\nsystem'))],
    ['UNSUPPORTED', `'<c8'`, () => npy(`'<c8'`, [1], Buffer.alloc(8))],
    ['UNSUPPORTED', `'<U4'`, () => npy(`'<U4'`, [1], Buffer.alloc(16))],
    ['UNSUPPORTED', `'|u2'`, () => npy(`'|u2'`, [1], Buffer.alloc(2))],
    ['UNSUPPORTED', `'a'`, () => npy(`[('a', '<f4'), ('b', '<i4')]`, [1], Buffer.alloc(8))],
  ] as const)('are refused, %s: %s', async (code, fact, make) => {
    expect((await failureOf(code, () => numbersIn(make()))).fact).toContain(fact);
  });

  it('that are cut anywhere are refused', () => {
    const file = floats([3], [1, 2, 3]);
    for (let length = 0; length < file.length; length++) expect(outcome(file.subarray(0, length))).toBe('FORMAT');
  });

  it('that are damaged are read or refused, and nothing else', () => {
    const random = randomOf(11);
    const file = floats([2, 3], [1, 2, 3, 4, 5, 6]);
    const seen = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      const damaged = Buffer.from(file);
      for (let change = 0; change <= random(4); change++) damaged[random(128)] = random(256);
      seen.add(outcome(damaged));
    }
    expect([...seen]).toEqual(expect.arrayContaining(['FORMAT', 'UNSUPPORTED', 'read 6']));
  });

  it('have their header read without the rest', async () => {
    const path = join(folder, 'large.npy');
    writeFileSync(path, npy(`'<f4'`, [2 ** 30], Buffer.alloc(4)));
    expect(readNpyHeader(path)).toMatchObject({ dims: [2 ** 30], fileBytes: 132 });
    await failureOf('INPUT', () => readNpyHeader(join(folder, 'none.npy')));
  });

  it.skipIf(python === undefined)('of numpy itself are read', () => {
    const program = [
      'import numpy as np, sys',
      'a = np.arange(-6, 6).reshape(3, 4)',
      'for t in ["i1", "<i2", ">i4", "<i8", "<f2", ">f4", "<f8"]: np.save(f"{sys.argv[1]}/{t[-2:]}.npy", a.astype(t))',
      'np.save(f"{sys.argv[1]}/fortran.npy", np.asfortranarray(a))',
      'np.save(f"{sys.argv[1]}/object.npy", np.array([{}], dtype=object), allow_pickle=True)',
    ].join('\n');
    expect(spawnSync(python!, ['-c', program, folder], { encoding: 'utf8' }).stderr).toBe('');
    const expected = Array.from({ length: 12 }, (_, index) => index - 6);
    for (const type of ['i1', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8']) {
      const file = readFileSync(join(folder, `${type}.npy`));
      expect([npyHeader(file).dims, numbersIn(file)]).toEqual([[3, 4], expected]);
    }
    for (const name of ['fortran', 'object'])
      expect(outcome(readFileSync(join(folder, `${name}.npy`)))).toBe('UNSUPPORTED');
  });
});
