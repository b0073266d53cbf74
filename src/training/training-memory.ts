import type { BoundTensor, DeviceTensor, Session } from '../runtime/types.js';

/** A flat float32 vector of a training, wherever it lies. */
export interface Vector {
  readonly length: number;
  /** For a binding. */
  readonly tensor: BoundTensor;
  /** Its elements: the memory itself where that is an array, else a copy that is valid until the next one. */
  read(): Promise<Float32Array>;
  /** Puts others in their place: as many, or its own memory, which then stays. */
  write(elements: Float32Array): Promise<void>;
}

/** Vectors that are read as one, behind each other. */
export interface Parted {
  readonly parts: readonly Vector[];
  /** As `Vector.read`. */
  read(): Promise<Float32Array>;
  /** As `Vector.write`. */
  write(elements: Float32Array): Promise<void>;
}

/** Where the vectors of a training lie. */
export interface TrainingMemory {
  /** A vector that begins with `initial`, which it may take over. */
  hold(initial: Float32Array): Promise<Vector>;
  /** A vector whose contents are not defined yet. */
  blank(length: number): Vector;
  /** The same for vectors that are read as one; without `initial` their contents are not defined yet. */
  parted(lengths: readonly number[], initial?: Float32Array): Promise<Parted>;
}

/** Arrays, which a session on the CPU uses in place. */
export const arrayMemory: TrainingMemory = {
  hold: (data) => Promise.resolve(ofArray(data)),
  blank: (length) => ofArray(new Float32Array(length)),
  parted: (lengths, initial) => {
    const whole = initial ?? new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
    const parts = split(whole, lengths).map(ofArray);
    return Promise.resolve({ parts, read: () => Promise.resolve(whole), write: (elements) => put(elements, whole) });
  },
};

function split(whole: Float32Array, lengths: readonly number[]): Float32Array[] {
  let at = 0;
  return lengths.map((length) => whole.subarray(at, (at += length)));
}

function ofArray(data: Float32Array): Vector {
  return {
    length: data.length,
    tensor: { type: 'float32', dims: [data.length], data },
    read: () => Promise.resolve(data),
    write: (elements) => put(elements, data),
  };
}

function put(elements: Float32Array, target: Float32Array): Promise<void> {
  if (elements !== target) target.set(elements);
  return Promise.resolve();
}

/** The memory of a session's device: nothing is copied but what is read. */
export function deviceMemory(session: Session): TrainingMemory {
  type Held = Vector & { readonly tensor: DeviceTensor };
  const blank = (length: number): Held => {
    const tensor = session.allocate('float32', [length]);
    let copy: Float32Array | undefined;
    return {
      length,
      tensor,
      read: async () => (await tensor.read((copy ??= new Float32Array(length)))) as Float32Array,
      write: async (elements) => {
        if (length > 0) await tensor.write(elements);
      },
    };
  };
  const hold = async (initial: Float32Array): Promise<Held> => {
    const vector = blank(initial.length);
    await vector.write(initial);
    return vector;
  };
  return {
    blank,
    hold,
    parted: async (lengths, initial) => {
      const parts = initial === undefined ? lengths.map(blank) : await Promise.all(split(initial, lengths).map(hold));
      let copy: Float32Array | undefined;
      return {
        parts,
        read: async () => {
          copy ??= new Float32Array(lengths.reduce((sum, length) => sum + length, 0));
          for (const [i, target] of split(copy, lengths).entries()) await parts[i]!.tensor.read(target);
          return copy;
        },
        write: async (elements) => {
          for (const [i, part] of split(elements, lengths).entries()) await parts[i]!.write(part);
        },
      };
    },
  };
}

/** Two of a kind: one is read while the other, its successor, is written. */
export interface Turning<T> {
  readonly current: T;
  readonly other: T;
  /** 0 or 1: for the names of bindings. */
  readonly index: 0 | 1;
  turn(): void;
}

export function turning<T>(current: T, other: T): Turning<T> {
  let index: 0 | 1 = 0;
  const both = [current, other] as const;
  return {
    get current() {
      return both[index];
    },
    get other() {
      return both[index === 0 ? 1 : 0];
    },
    get index() {
      return index;
    },
    turn: () => {
      index = index === 0 ? 1 : 0;
    },
  };
}

/** A vector and room for its successor. */
export async function turningVector(memory: TrainingMemory, initial: Float32Array): Promise<Turning<Vector>> {
  return turning(await memory.hold(initial), memory.blank(initial.length));
}

/** A vector that moves several times between two updates, all of which can be undone. */
export interface Moving {
  readonly current: Vector;
  /** Where it moves to next: neither where it is nor where it began. */
  readonly next: Vector;
  /** For the names of bindings. */
  readonly key: string;
  move(): void;
  /** What has moved stays. */
  keep(): void;
  /** Back to where it was when `keep` was last called. */
  undo(): void;
}

/** A third vector is made only for those that move twice. */
export async function moving(memory: TrainingMemory, initial: Float32Array): Promise<Moving> {
  const vectors: Vector[] = [await memory.hold(initial), memory.blank(initial.length)];
  let kept = 0;
  let at = 0;
  const nextIndex = (): number => {
    const free = [0, 1, 2].find((index) => index !== at && index !== kept)!;
    vectors[free] ??= memory.blank(initial.length);
    return free;
  };
  return {
    get current() {
      return vectors[at]!;
    },
    get next() {
      return vectors[nextIndex()]!;
    },
    get key() {
      return `${at} ${nextIndex()}`;
    },
    move: () => {
      at = nextIndex();
    },
    keep: () => {
      kept = at;
    },
    undo: () => {
      at = kept;
    },
  };
}
