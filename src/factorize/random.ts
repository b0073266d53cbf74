/** Numbers that are the same for the same seed and stream, on every machine. */
export interface Random {
  /** Uniform on [0, 1), 53 bits. */
  uniform(): number;
  /** N(0, 1). */
  normal(): number;
  /** N(0, 1), drawn again while |z| > 2: standard deviation 0.8796. */
  truncatedNormal(): number;
}

/**
 * A generator for `seed` (an integer; its lower 53 bits count) and `stream`, which tells apart the uses of one seed.
 * xoshiro128** (Blackman and Vigna, 2018), its state filled by splitmix32; normal numbers by Box and Muller.
 */
export function createRandom(seed: number, stream = 0): Random {
  const next = xoshiro128(seed, stream);
  const uniform = (): number => ((next() >>> 5) * 67_108_864 + (next() >>> 6)) / 9_007_199_254_740_992;
  let spare: number | undefined;
  const normal = (): number => {
    if (spare !== undefined) {
      const z = spare;
      spare = undefined;
      return z;
    }
    // 1 − u lies in (0, 1]: its logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  const truncatedNormal = (): number => {
    let z = normal();
    while (Math.abs(z) > 2) z = normal();
    return z;
  };
  return { uniform, normal, truncatedNormal };
}

/** Unsigned 32-bit integers. */
function xoshiro128(seed: number, stream: number): () => number {
  const mix = splitmix32(seed, stream);
  let a = mix();
  let b = mix();
  let c = mix();
  let d = mix();
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result >>> 0;
  };
}

/** A stream of well mixed 32-bit integers: every bit of the seed and of the stream reaches every output. */
function splitmix32(seed: number, stream: number): () => number {
  const words = [seed | 0, Math.floor(seed / 4_294_967_296) | 0, stream | 0];
  let state = words.reduce((hash, word) => scramble((hash + 0x9e3779b9) ^ word), 0);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return scramble(state);
  };
}

/** A bijection of 32-bit integers without visible structure (the finalizer of MurmurHash3). */
function scramble(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
