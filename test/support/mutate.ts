import { memorySource } from '../../src/files/source.js';
import { fields } from '../../src/onnx/wire.js';
import { flat, tag, vint } from './build.js';

/** A generator of whole numbers below `limit`: mulberry32, so that a seed is a run. */
export type Random = (limit: number) => number;

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** A field in a tree of messages: with children where its payload is a message, with bytes where it is not. */
interface Part {
  number: number;
  wireType: number;
  payload: Part[] | Buffer;
}

/** Messages of onnx.proto by the fields that hold messages. */
const schema: Record<string, Record<number, string>> = {
  model: { 7: 'graph', 8: 'leaf', 14: 'leaf', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 9: 'leaf', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 11: 'info', 12: 'info', 13: 'info', 14: 'leaf', 15: 'sparse' },
  node: { 5: 'attribute', 9: 'leaf' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 14: 'type', 22: 'sparse' },
  tensor: { 3: 'leaf', 13: 'leaf', 16: 'leaf' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  info: { 2: 'type' },
  type: { 1: 'tensorType', 4: 'sequence' },
  sequence: { 1: 'type' },
  tensorType: { 2: 'shape' },
  shape: { 1: 'leaf' },
  leaf: {},
};

function parse(bytes: Buffer, kind: string): Part[] {
  const range = { source: memorySource(bytes), start: 0, end: bytes.length };
  return [...fields(range)].map(({ number, wireType, payload, end }) => {
    const content = bytes.subarray(payload, end);
    const inner = wireType === 2 ? schema[kind]?.[number] : undefined;
    return { number, wireType, payload: inner === undefined ? content : parse(content, inner) };
  });
}

function serialize(parts: readonly Part[]): Buffer {
  return flat(
    ...parts.map(({ number, wireType, payload }) => {
      const content = Array.isArray(payload) ? serialize(payload) : payload;
      return flat(tag(number, wireType), wireType === 2 ? vint(content.length) : [], content);
    }),
  );
}

/** Every list of fields in a tree, the model's own first. */
function lists(parts: Part[]): Part[][] {
  const found: Part[][] = [];
  const waiting = [parts];
  for (let list = waiting.pop(); list !== undefined; list = waiting.pop()) {
    found.push(list);
    for (const { payload } of list) if (Array.isArray(payload)) waiting.push(payload);
  }
  return found;
}

const interesting: readonly (number | bigint)[] = [
  0,
  1,
  2,
  7,
  8,
  9,
  127,
  128,
  255,
  1000,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 40,
  2n ** 53n,
  2n ** 62n,
  -1,
  -2,
  -(2 ** 31),
  -(2n ** 63n),
];

const pick = <T>(list: readonly T[], random: Random): T => list[random(list.length)]!;

/** Changes one thing in the tree of messages; the lengths around it stay right, so that the change is what is read. */
function mutateTree(parts: Part[], random: Random): void {
  const all = lists(parts).filter((list) => list.length > 0);
  if (all.length === 0) return;
  const list = pick(all, random);
  const at = random(list.length);
  const part = list[at]!;
  const other = pick(pick(all, random), random);
  switch (random(10)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      list.splice(random(list.length + 1), 0, copy(part));
      break;
    case 2:
      // A field of another message, under its own number or this one's.
      list[at] = { ...copy(other), ...(random(2) === 0 ? { number: part.number } : {}) };
      break;
    case 3:
      list.splice(at, 0, copy(other));
      break;
    case 4:
      part.number = 1 + random(30);
      break;
    case 5:
      if (part.wireType === 0) part.payload = vint(pick(interesting, random));
      else list.push({ number: part.number, wireType: 0, payload: vint(pick(interesting, random)) });
      break;
    case 6:
      if (part.payload instanceof Buffer && part.wireType === 2) {
        part.payload = part.payload.subarray(0, random(part.payload.length + 1));
      } else list.reverse();
      break;
    case 7:
      if (part.payload instanceof Buffer && part.payload.length > 0) {
        part.payload = Buffer.from(part.payload);
        part.payload[random(Math.min(part.payload.length, 64))] = random(256);
      } else list.sort(() => random(3) - 1);
      break;
    case 8:
      list.push({
        number: 1 + random(30),
        wireType: 2,
        payload: flat(vint(pick(interesting, random)), Buffer.alloc(random(9), 8)),
      });
      break;
    default:
      // One name instead of another: edges of the graph, mostly.
      if (part.payload instanceof Buffer && other.payload instanceof Buffer && part.wireType === other.wireType) {
        if (other.payload.length < 1000) part.payload = other.payload;
      } else list.length = random(list.length + 1);
  }
}

function copy(part: Part): Part {
  return { ...part, payload: Array.isArray(part.payload) ? part.payload.map(copy) : part.payload };
}

/** Changes bytes without regard to what they mean. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const result = Buffer.from(bytes);
  // Most of a model is weights; what matters is at its beginning and its end.
  const place = (): number => {
    const limit = random(3) === 0 ? result.length : Math.min(result.length, 4096);
    return random(4) === 0 ? result.length - 1 - random(limit) : random(limit);
  };
  const from = place();
  switch (random(8)) {
    case 0:
      for (let i = 0; i <= random(8); i++) result[place()]! ^= 1 << random(8);
      return result;
    case 1:
      for (let i = 0; i <= random(4); i++) result[place()] = pick([0, 1, 127, 128, 255, random(256)], random);
      return result;
    case 2:
      return result.subarray(0, from);
    case 3:
      return result.subarray(from);
    case 4:
      return flat(result.subarray(0, from), vint(pick(interesting, random)), result.subarray(from + 1 + random(3)));
    case 5:
      return flat(result.subarray(0, from), result.subarray(from + random(200)));
    case 6: {
      const other = place();
      return flat(result.subarray(0, from), result.subarray(other, other + random(500)), result.subarray(from));
    }
    default:
      return flat(result, result.subarray(from, from + random(2000)));
  }
}

/** Makes mutants of one model. */
export function mutator(bytes: Uint8Array): (random: Random) => Buffer {
  const original = Buffer.from(bytes);
  const tree = parse(original, 'model');
  return (random) => {
    if (random(3) === 0) return mutateBytes(original, random);
    const parts = tree.map(copy);
    for (let i = 0; i <= random(3); i++) mutateTree(parts, random);
    const mutant = serialize(parts);
    return random(8) === 0 ? mutateBytes(mutant, random) : mutant;
  };
}
