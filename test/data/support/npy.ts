/** An .npy file by hand, apart from the project's own writer (numpy.lib.format). */
export function npy(
  descr: string,
  dims: readonly number[],
  data: Uint8Array,
  { version = 1, isFortran = false }: { readonly version?: number; readonly isFortran?: boolean } = {},
): Buffer {
  const shape = dims.length === 1 ? `(${dims[0]!},)` : `(${dims.join(', ')})`;
  const text = `{'descr': ${descr}, 'fortran_order': ${isFortran ? 'True' : 'False'}, 'shape': ${shape}, }`;
  const before = version === 1 ? 10 : 12;
  const length = Math.ceil((before + text.length + 1) / 64) * 64 - before;
  const head = Buffer.alloc(before);
  head.write('\x93NUMPY', 'latin1');
  head[6] = version;
  if (version === 1) head.writeUInt16LE(length, 8);
  else head.writeUInt32LE(length, 8);
  return Buffer.concat([head, Buffer.from(`${text.padEnd(length - 1)}\n`, 'latin1'), data]);
}

/** Of float32. */
export function floats(dims: readonly number[], values: ArrayLike<number>): Buffer {
  return npy(`'<f4'`, dims, new Uint8Array(Float32Array.from(values).buffer));
}

export function bytes(dims: readonly number[], values: ArrayLike<number>): Buffer {
  return npy(`'|u1'`, dims, Uint8Array.from(values));
}

/** Labels as numpy has them: int64. */
export function labels(values: readonly number[]): Buffer {
  return npy(`'<i8'`, [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
}
