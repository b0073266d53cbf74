import { createHash } from 'node:crypto';

/**
 * An endless sequence of random numbers in which every element is a function of (seed, name, position): it can be drawn
 * in any order and in pieces, and drawing from one stream does not disturb another.
 */
export interface RandomStream {
  /** Philox's key: the seed, low word first. */
  readonly key: readonly [number, number];
  /** The upper half of Philox's counter: which stream of the seed. */
  readonly id: readonly [number, number];
}

/** The stream `name` of `seed`, which is a whole number from 0 to 2⁵³ − 1. */
export function randomStream(seed: number, name: string): RandomStream {
  const hash = createHash('sha256').update(name, 'utf8').digest();
  return { key: [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0], id: [hash.readUInt32LE(0), hash.readUInt32LE(4)] };
}

const rounds = 10;
const weyl0 = 0x9e3779b9 | 0;
const weyl1 = 0xbb67ae85 | 0;

/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011), which passes BigCrush:
 * four 32-bit words for the counter (index, its upper word, id), written to `target` from `at` on. Signed words
 * throughout: V8 keeps those in registers, and unsigned ones not.
 */
export function philox(
  index: number,
  indexHigh: number,
  id: readonly [number, number],
  key: readonly [number, number],
  target: Int32Array,
  at: number,
): void {
  let a = index | 0;
  let b = indexHigh | 0;
  let c = id[0] | 0;
  let d = id[1] | 0;
  let key0 = key[0] | 0;
  let key1 = key[1] | 0;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(a, 0xd251, 0x1f53);
    const high1 = multiplyHigh(c, 0xcd9e, 0x8d57);
    const low0 = Math.imul(a, 0xd2511f53);
    const low1 = Math.imul(c, 0xcd9e8d57);
    a = high1 ^ b ^ key0;
    b = low1;
    c = high0 ^ d ^ key1;
    d = low0;
    key0 = (key0 + weyl0) | 0;
    key1 = (key1 + weyl1) | 0;
  }
  target[at] = a;
  target[at + 1] = b;
  target[at + 2] = c;
  target[at + 3] = d;
}

/** The upper 32 bits of the unsigned product of `x` and yHigh · 2¹⁶ + yLow. */
function multiplyHigh(x: number, yHigh: number, yLow: number): number {
  const xLow = x & 0xffff;
  const xHigh = x >>> 16;
  const middle = (Math.imul(xHigh, yLow) + (Math.imul(xLow, yLow) >>> 16)) | 0;
  const carry = (Math.imul(xLow, yHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(xHigh, yHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** Fills `target` with the words, as signed integers, from position `start` of the stream on. `start` is below 2⁵³. */
export function fillWords({ key, id }: RandomStream, target: Int32Array, start = 0): void {
  const block = new Int32Array(4);
  let filled = 0;
  while (filled < target.length) {
    const index = Math.floor((start + filled) / 4);
    const skip = start + filled - 4 * index;
    const isWhole = skip === 0 && target.length - filled >= 4;
    philox(index, Math.floor(index / 2 ** 32), id, key, isWhole ? target : block, isWhole ? filled : 0);
    if (isWhole) {
      filled += 4;
      continue;
    }
    const piece = block.subarray(skip, skip + target.length - filled);
    target.set(piece, filled);
    filled += piece.length;
  }
}

/** The standard deviation of a standard normal number given that it lies within ±2: √(1 − 4φ(2) / (2Φ(2) − 1)). */
export const truncatedDeviation = 0.8796256610342398;

/** Φ(2) − 1/2. */
const halfMass = 0.4772498680518208;

/**
 * Minimax rational approximation of Φ⁻¹(1/2 + q) / q in q², |q| ≤ Φ(2) − 1/2, lowest power first; relative error 1.6e-9,
 * where float32 rounds by 6e-8. Only +, × and ÷: the same bits on every machine, which Math.log does not promise.
 */
const [p0, p1, p2, p3, p4, p5] = [
  2.5066282783316907, -30.838923288190827, 140.07719165567315, -281.66329250738585, 228.00438800684944,
  -41.71385251604004,
] as const;
const [q1, q2, q3, q4, q5] = [
  -13.350147337869345, 67.56000506435694, -158.62113444286456, 166.1459245433046, -56.74669535406103,
] as const;

/** Φ⁻¹(1/2 + q) for |q| ≤ Φ(2) − 1/2. */
export function centralQuantile(q: number): number {
  const t = q * q;
  const above = ((((p5 * t + p4) * t + p3) * t + p2) * t + p1) * t + p0;
  const below = ((((q5 * t + q4) * t + q3) * t + q2) * t + q1) * t + 1;
  return (q * above) / below;
}

/**
 * Fills `target` with the elements from position `start` on of a stream of normal numbers, mean 0, that lie within two
 * standard deviations: the distribution that drawing again beyond two gives, by its inverse distribution function.
 * `scale` is the standard deviation before truncation; what is drawn has `scale` · `truncatedDeviation`.
 */
export function fillTruncatedNormal(stream: RandomStream, target: Float32Array, start: number, scale: number): void {
  const words = new Int32Array(Math.min(target.length, 4096));
  const step = (2 * halfMass) / 2 ** 32;
  for (let done = 0; done < target.length; done += words.length) {
    const count = Math.min(words.length, target.length - done);
    fillWords(stream, count === words.length ? words : words.subarray(0, count), start + done);
    for (let i = 0; i < count; i++) target[done + i] = scale * centralQuantile((words[i]! + 0.5) * step);
  }
}

/**
 * Fills `target` with the elements from position `start`, which is even, on of a stream of N(0, 1): pairs by Box and
 * Muller's transformation of two words each, so that nothing is further out than 6.7 deviations. Functions of Math make
 * them: the same on every machine only as far as its JavaScript engine is.
 */
export function fillNormal(stream: RandomStream, target: Float32Array, start: number): void {
  const words = new Int32Array(4096);
  for (let done = 0; done < target.length; done += words.length) {
    const count = Math.min(words.length, target.length - done);
    const even = count + (count & 1);
    fillWords(stream, even === words.length ? words : words.subarray(0, even), start + done);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(((words[i]! >>> 0) + 0.5) / 2 ** 32));
      const angle = words[i + 1]! * (Math.PI / 2 ** 31);
      target[done + i] = radius * Math.cos(angle);
      // Of an odd count the last is left out.
      if (i + 1 < count) target[done + i + 1] = radius * Math.sin(angle);
    }
  }
}
