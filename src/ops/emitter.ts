import { createHash } from 'node:crypto';
import { LowrankError } from '../errors.js';
import type { Attribute } from '../graph/attribute.js';
import { float, int, ints } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { BFLOAT16, DOUBLE, FLOAT, INT64, isFloatType } from '../onnx/data-type.js';
import { encodeFloats } from '../onnx/elements.js';
import { Tensor } from '../onnx/tensor.js';
import { castInputs, isRepresentable } from './autocast.js';
import type { ShapeTable } from './infer.js';
import type { Known } from './operator.js';
import type { HalfType } from './precision.js';
import { findOperator } from './registry.js';
import { atNode } from './support/fail.js';
import { knownOfTensor } from './support/known.js';
import { normalizeAxis, showDims, sizeOf } from './support/layout.js';

export interface EmitOptions {
  /** Default: ai.onnx. */
  readonly domain?: string;
  /** Number of outputs; default 1. */
  readonly outputs?: number;
  /** What names of the node and its outputs begin with. */
  readonly name?: string;
  /** The node computes in the types of its inputs, whatever half precision says of its operator. */
  readonly asGiven?: boolean;
}

export interface EmitterOptions {
  /** Operator set versions by domain; "" is ai.onnx, 13 or later. */
  readonly opsets: ReadonlyMap<string, number>;
  /** What names of new values begin with. */
  readonly prefix?: string;
  /**
   * The batch is open: what the graph says of shapes must hold for every batch size, so shapes are then taken from the
   * tensors at run time (Shape) where a constant would fix the batch.
   */
  readonly isBatchOpen?: boolean;
  /**
   * Nodes compute in this type or in float32, as `precisionOf` says of their operators: their inputs are cast. Default:
   * nothing is.
   */
  readonly half?: HalfType | undefined;
}

/**
 * Builds a graph node by node and always knows every value's type: shapes are inferred as it builds, for one concrete
 * batch size. Constants are shared. All operators that it names exist in ai.onnx 13 and later; differences between the
 * versions since (axes as inputs, num_outputs) are its own business.
 */
export class Emitter {
  readonly graph: Graph;
  readonly opsets: ReadonlyMap<string, number>;
  /** Of ai.onnx. */
  readonly opset: number;
  readonly isBatchOpen: boolean;
  readonly half: HalfType | undefined;
  readonly #types = new Map<Value, Known>();
  readonly #constants = new Map<string, Value>();
  readonly #prefix: string;
  readonly #counts = new Map<string, number>();
  /** Casts of a value by type, and what a cast was made of. */
  readonly #casts = new Map<Value, Map<number, Value>>();
  readonly #sources = new Map<Value, Value>();

  constructor(graph: Graph, options: EmitterOptions) {
    this.graph = graph;
    this.opsets = options.opsets;
    this.opset = options.opsets.get('') ?? 0;
    this.isBatchOpen = options.isBatchOpen ?? false;
    this.half = options.half;
    this.#prefix = options.prefix ?? '';
    if (this.opset < 13) throw new LowrankError('INTERNAL', `an emitter for ai.onnx ${this.opset}, which is below 13`);
  }

  /** Declares the type of a value that no node of this emitter produces: an input, or one that was there before. */
  declare(value: Value, type: Known): Value {
    this.#types.set(value, type);
    return value;
  }

  /** Throws INTERNAL for a value that was neither emitted nor declared. */
  typeOf(value: Value): Known {
    const type = this.#types.get(value) ?? (value.tensor === undefined ? undefined : knownOfTensor(value.tensor));
    if (type === undefined) throw new LowrankError('INTERNAL', `the type of '${value.name}' was not declared`);
    return type;
  }

  dims(value: Value): readonly number[] {
    return this.typeOf(value).dims;
  }

  rank(value: Value): number {
    return this.dims(value).length;
  }

  /** A node with one output. Throws SHAPE where the inputs do not fit, UNSUPPORTED where its type cannot be inferred. */
  emit(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>> = {},
    options: EmitOptions = {},
  ): Value {
    return this.emitAll(opType, inputs, attributes, options)[0]!;
  }

  /** A node and all its outputs. */
  emitAll(
    opType: string,
    given: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>> = {},
    options: EmitOptions = {},
  ): Value[] {
    const { domain = '', outputs = 1, name = opType, asGiven = false } = options;
    const { inputs, restore } =
      this.half === undefined || asGiven
        ? { inputs: given, restore: undefined }
        : castInputs(this, this.half, { domain, opType, name }, given);
    const base = `${this.#prefix}${name}`;
    const values = Array.from({ length: outputs }, () => this.graph.addValue(this.#freshName(base)));
    const node = this.graph.addNode({ opType, domain, name: values[0]!.name, inputs, outputs: values, attributes });
    const operator = findOperator(domain, opType);
    const context = {
      node,
      opset: this.opsets.get(domain) ?? 1,
      inputs: inputs.map((value) => (value === undefined ? undefined : this.typeOf(value))),
    };
    const types = operator === undefined ? undefined : atNode(node, () => operator.infer(context));
    values.forEach((value, i) => {
      const type = types?.[i];
      if (type === undefined) {
        throw new LowrankError('UNSUPPORTED', `the type of output ${i} cannot be told before a run`, {
          place: node.label,
        });
      }
      this.#types.set(value, type);
    });
    if (restore !== undefined) values[0] = this.cast(values[0]!, restore);
    return values;
  }

  #freshName(base: string): string {
    let count = this.#counts.get(base) ?? 0;
    let name: string;
    do {
      name = count === 0 ? base : `${base}_${count}`;
      count++;
    } while (this.graph.values.has(name) || this.graph.reservedNames.has(name));
    this.#counts.set(base, count);
    return name;
  }

  // Constants. The same data gives the same value.

  /** A float tensor; `dims` default to [n]. `dataType` is FLOAT unless the values it meets are of another float type. */
  floats(values: readonly number[] | Float32Array, dims?: readonly number[], dataType: number = FLOAT): Value {
    if (dataType === DOUBLE) {
      return this.#constant(dataType, dims ?? [values.length], new Uint8Array(Float64Array.from(values).buffer));
    }
    const data = values instanceof Float32Array ? values : Float32Array.from(values);
    return this.#constant(dataType, dims ?? [data.length], encodeFloats(data, dataType));
  }

  /** A float scalar of the element type of `like` (default FLOAT); float32 where that type is half and cannot hold it. */
  scalar(value: number, like?: Value): Value {
    const dataType = like === undefined ? FLOAT : this.typeOf(like).dataType;
    const isLost = this.half !== undefined && dataType === this.half && !isRepresentable(value, this.half);
    return this.floats([value], [], isLost ? FLOAT : dataType);
  }

  /** An int64 tensor; `dims` default to [n]. */
  ints(values: readonly number[] | BigInt64Array, dims?: readonly number[]): Value {
    const data = values instanceof BigInt64Array ? values : BigInt64Array.from(values, (value) => BigInt(value));
    return this.#constant(INT64, dims ?? [data.length], new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  #constant(dataType: number, dims: readonly number[], bytes: Uint8Array): Value {
    const content =
      bytes.length > 256 ? createHash('sha256').update(bytes).digest('hex') : Buffer.from(bytes).toString('hex');
    const key = `${dataType} ${dims.join()} ${content}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#freshName(`${this.#prefix}constant`);
    const value = this.graph.addInitializer(Tensor.of(name, dataType, dims, bytes));
    this.#types.set(value, knownOfTensor(value.tensor!));
    this.#constants.set(key, value);
    return value;
  }

  // Shapes. With an open batch they are taken from tensors at run time.

  /** `x` with the shape of `like`, which has as many elements. */
  reshapeLike(x: Value, like: Value): Value {
    const dims = this.dims(like);
    if (isEqual(this.dims(x), dims)) return x;
    return this.emit('Reshape', [x, this.shapeOf(like)]);
  }

  /** `x` in `dims`; one may be −1 (what is left), and 0 copies the dimension of `x` at that place (also at run time). */
  reshape(x: Value, dims: readonly number[]): Value {
    const from = this.dims(x);
    if (isEqual(from, dims) || (dims.length === from.length && dims.every((dim, i) => dim === 0 || dim === from[i])))
      return x;
    return this.emit('Reshape', [x, this.ints(dims)]);
  }

  /** `x` broadcast to the shape of `like`. */
  expandLike(x: Value, like: Value): Value {
    if (isEqual(this.dims(x), this.dims(like))) return x;
    return this.emit('Expand', [x, this.shapeOf(like)]);
  }

  /** Zeros in the shape and type of `like`. */
  zerosLike(like: Value): Value {
    return this.expandLike(this.scalar(0, like), like);
  }

  /** The shape of a value, an int64 vector: a constant unless the batch is open. */
  shapeOf(value: Value): Value {
    return this.isBatchOpen ? this.emit('Shape', [value]) : this.ints(this.dims(value));
  }

  /** Number of elements along `axes` (default all), a scalar of the type of `x`; float32 where that is half. */
  count(x: Value, axes?: readonly number[]): Value {
    const dims = this.dims(x);
    const chosen = axes?.map((axis) => normalizeAxis(axis, dims.length)) ?? dims.map((_, axis) => axis);
    const { dataType } = this.typeOf(x);
    const to = dataType === this.half ? FLOAT : dataType;
    if (!this.isBatchOpen) return this.floats([sizeOf(chosen.map((axis) => dims[axis]!))], [], to);
    const sizes = this.emit('Gather', [this.emit('Shape', [x]), this.ints(chosen)], { axis: int(0) });
    // ReduceProd takes int64; its axes became an input in 18, without them it reduces all.
    const product = this.emit('ReduceProd', [sizes], { keepdims: int(0) });
    return this.emit('Cast', [product], { to: int(to) });
  }

  // Operators whose form differs between opsets.

  /** Σ over axes (default all); axes are then kept as 1 unless `keep` is false. */
  reduceSum(x: Value, axes?: readonly number[], keep = true): Value {
    return this.#reduce('ReduceSum', x, axes, keep, true);
  }

  reduceMean(x: Value, axes?: readonly number[], keep = true, options: EmitOptions = {}): Value {
    return this.#reduce('ReduceMean', x, axes, keep, this.opset >= 18, options);
  }

  reduceMax(x: Value, axes?: readonly number[], keep = true): Value {
    return this.#reduce('ReduceMax', x, axes, keep, this.opset >= 18);
  }

  reduceProd(x: Value, axes?: readonly number[], keep = true): Value {
    return this.#reduce('ReduceProd', x, axes, keep, this.opset >= 18);
  }

  #reduce(
    opType: string,
    x: Value,
    axes: readonly number[] | undefined,
    keep: boolean,
    areInput: boolean,
    options: EmitOptions = {},
  ): Value {
    if (axes?.length === 0) return x;
    const attributes: Record<string, Attribute> = { keepdims: int(keep ? 1 : 0) };
    if (axes === undefined) return this.emit(opType, [x], attributes, options);
    if (areInput) return this.emit(opType, [x, this.ints(axes)], attributes, options);
    return this.emit(opType, [x], { ...attributes, axes: ints(axes) }, options);
  }

  squeeze(x: Value, axes: readonly number[]): Value {
    return axes.length === 0 ? x : this.emit('Squeeze', [x, this.ints(axes)]);
  }

  unsqueeze(x: Value, axes: readonly number[]): Value {
    return axes.length === 0 ? x : this.emit('Unsqueeze', [x, this.ints(axes)]);
  }

  /** Elements from `starts` up to `ends` (exclusive; negative from the end) along `axes`, every `steps`-th. */
  slice(
    x: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[],
    steps?: readonly number[],
  ): Value {
    const inputs = [x, this.ints(starts), this.ints(ends), this.ints(axes)];
    if (steps !== undefined) inputs.push(this.ints(steps));
    return this.emit('Slice', inputs);
  }

  /** Parts of the given sizes along `axis`. */
  split(x: Value, sizes: readonly number[], axis = 0): Value[] {
    if (sizes.length === 1) return [x];
    return this.emitAll('Split', [x, this.ints(sizes)], { axis: int(axis) }, { outputs: sizes.length });
  }

  concat(values: readonly Value[], axis: number): Value {
    return values.length === 1 ? values[0]! : this.emit('Concat', values, { axis: int(axis) });
  }

  /** Zeros around `x`: first the beginnings of all axes, then the ends; negative numbers cut away. */
  pad(x: Value, pads: readonly number[]): Value {
    if (pads.every((pad) => pad === 0)) return x;
    if (this.typeOf(x).dataType === BFLOAT16 && !this.isBatchOpen) return this.#padByConcat(x, pads);
    return this.emit('Pad', [x, this.ints(pads), this.scalar(0, x)]);
  }

  /** Axis by axis, for the type that no runtime pads: less to read and write than the casts around a Pad in float32. */
  #padByConcat(x: Value, pads: readonly number[]): Value {
    const rank = this.rank(x);
    const cut = pads.map((pad) => Math.min(0, pad));
    const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => cut[axis]! + cut[axis + rank]! < 0);
    let result = x;
    if (axes.length > 0) {
      const starts = axes.map((axis) => -cut[axis]!);
      const ends = axes.map((axis) => this.dims(x)[axis]! + cut[axis + rank]!);
      result = this.slice(x, starts, ends, axes);
    }
    for (let axis = 0; axis < rank; axis++) {
      const zeros = (count: number): Value[] => {
        if (count <= 0) return [];
        const dims = this.dims(result).map((dim, i) => (i === axis ? count : dim));
        return [this.emit('Expand', [this.scalar(0, x), this.ints(dims)])];
      };
      result = this.concat([...zeros(pads[axis]!), result, ...zeros(pads[axis + rank]!)], axis);
    }
    return result;
  }

  transpose(x: Value, perm: readonly number[]): Value {
    return perm.every((axis, i) => axis === i) ? x : this.emit('Transpose', [x], { perm: ints(perm) });
  }

  /** α · op(a) · op(b), two matrices. */
  gemm(
    a: Value,
    b: Value,
    options: { readonly transA?: boolean; readonly transB?: boolean; readonly alpha?: number } = {},
  ): Value {
    const { transA = false, transB = false, alpha = 1 } = options;
    return this.emit('Gemm', [a, b], {
      ...(transA ? { transA: int(1) } : {}),
      ...(transB ? { transB: int(1) } : {}),
      ...(alpha === 1 ? {} : { alpha: float(alpha) }),
    });
  }

  // Arithmetic, broadcast.

  add(a: Value, b: Value): Value {
    return this.emit('Add', [a, b]);
  }

  sub(a: Value, b: Value): Value {
    return this.emit('Sub', [a, b]);
  }

  mul(a: Value, b: Value): Value {
    return this.emit('Mul', [a, b]);
  }

  div(a: Value, b: Value): Value {
    return this.emit('Div', [a, b]);
  }

  neg(x: Value): Value {
    return this.emit('Neg', [x]);
  }

  /** factor · x */
  scale(x: Value, factor: number): Value {
    return factor === 1 ? x : this.mul(x, this.scalar(factor, x));
  }

  /**
   * `x` in another type. Where the emitter has a half type, a value is cast to a type once, and a cast of a cast between
   * float types is one of the first value (which rounds less).
   */
  cast(x: Value, dataType: number): Value {
    if (this.typeOf(x).dataType === dataType) return x;
    if (this.half === undefined || !isFloatType(dataType) || !isFloatType(this.typeOf(x).dataType)) {
      return this.emit('Cast', [x], { to: int(dataType) });
    }
    const source = this.#sources.get(x) ?? x;
    if (this.typeOf(source).dataType === dataType) return source;
    const known = this.#casts.get(source) ?? new Map<number, Value>();
    this.#casts.set(source, known);
    let result = known.get(dataType);
    if (result === undefined) {
      known.set(dataType, (result = this.emit('Cast', [source], { to: int(dataType) })));
      this.#sources.set(result, source);
    }
    return result;
  }

  /** `x` in float32 where it is half: for sums, counts and statistics. */
  wide(x: Value): Value {
    return this.typeOf(x).dataType === this.half ? this.cast(x, FLOAT) : x;
  }

  /** 1 where `condition` holds, else 0, in the float type of `like`. */
  indicator(condition: Value, like: Value): Value {
    return this.cast(condition, this.typeOf(like).dataType);
  }

  /**
   * The gradient of something that was broadcast: `dy` summed over the axes along which a tensor of the shape of `x` was
   * repeated, in the shape of `x`. Throws SHAPE where the shape of `x` does not broadcast to that of `dy`.
   */
  sumTo(dy: Value, x: Value): Value {
    const from = this.dims(dy);
    const to = this.dims(x);
    if (isEqual(from, to)) return dy;
    const extra = from.length - to.length;
    const fits = extra >= 0 && to.every((dim, i) => dim === 1 || dim === from[i + extra]);
    if (!fits) throw new LowrankError('SHAPE', `a gradient of ${showDims(from)} for a value of ${showDims(to)}`);
    const axes = from.flatMap((dim, axis) => (axis < extra || (to[axis - extra] === 1 && dim !== 1) ? [axis] : []));
    const summed = this.reduceSum(dy, axes, true);
    return extra === 0
      ? summed
      : this.squeeze(
          summed,
          Array.from({ length: extra }, (_, axis) => axis),
        );
  }
}

function isEqual(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** An emitter for a model whose values, as far as their types are known, may be read. */
export function emitterFor(model: Model, shapes: ShapeTable, prefix: string): Emitter {
  const e = new Emitter(model.graph, { opsets: model.opsets, prefix });
  for (const value of model.graph.values.values()) {
    const type = shapes.typeOf(value);
    if (type !== undefined) e.declare(value, type);
  }
  return e;
}
