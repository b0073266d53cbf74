import { throwIfAborted } from '../errors.js';
import { ModelProto } from '../onnx/proto.js';
import { misplaced } from '../runtime/placement.js';
import { neverSpin } from '../runtime/threads.js';
import type { BoundTensor, Driver, Session, SessionOptions } from '../runtime/types.js';
import { isOnDevice, type Operand } from './operand.js';
import { deviceMemory, type ProductMemory } from './product-memory.js';
import type { Scratch } from './scratch.js';

export interface ProductOptions {
  readonly transposeA?: boolean | undefined;
  readonly transposeB?: boolean | undefined;
  /** Factor of the product. Default: 1. */
  readonly alpha?: number | undefined;
  /** Added to the product with this sign; of the shape and type of the result. */
  readonly add?: { readonly matrix: Operand; readonly sign: 1 | -1 } | undefined;
  /** Multiply in float64 whatever the types of the factors. Default: in the type of the result. */
  readonly inFloat64?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

type RealType = 'float32' | 'float64';

/** What one ONNX graph can do. */
interface Kind {
  readonly a: RealType;
  readonly b: RealType;
  readonly result: RealType;
  readonly compute: RealType;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  readonly sign: 0 | 1 | -1;
}

/** Matrix products, by one engine. */
export interface Products {
  /**
   * result ← alpha · op(A) · op(B) ± C, into the memory of `result`. On the device where one of the matrices lies there, else
   * on the CPU. Throws RUNTIME or ABORTED.
   */
  multiply(a: Operand, b: Operand, result: Operand, options?: ProductOptions): Promise<void>;
  /** Where matrices stay on the device; undefined where products have none. */
  readonly resident?: ProductMemory;
  close(): Promise<void>;
}

/** The device on which matrices stay between products. */
export interface ResidentSettings {
  /** Its sessions. */
  readonly session: SessionOptions;
  readonly scratch: Scratch;
  /** Hears of nodes that the device leaves to the CPU. */
  readonly onWarning: (message: string) => void;
}

/**
 * Products in onnxruntime: one tiny graph for each combination of types and transpositions. With `resident` the device is
 * started at once. Throws DEVICE, RUNTIME or UNSUPPORTED where it cannot be.
 */
export async function createProducts(
  driver: Driver,
  threads: number | undefined,
  resident?: ResidentSettings,
): Promise<Products> {
  const sessions = new Map<string, Promise<Session>>();
  const create = async (kind: Kind, isResident: boolean): Promise<Session> => {
    // Only casts to float64 take memory; what those of a large matrix need must not stay with the session.
    const options = { config: neverSpin, memoryArena: false, ...(threads === undefined ? {} : { threads }) };
    if (!isResident) return driver.createSession(productModel(kind), options);
    const { session: device, onWarning } = resident!;
    const session = await driver.createSession(productModel(kind), { ...options, ...device });
    const fact = misplaced(session, device.device ?? 'cpu', 'a matrix product');
    if (fact !== undefined) onWarning(fact);
    return session;
  };
  const sessionFor = (kind: Kind, isResident: boolean): Promise<Session> => {
    const key = JSON.stringify([kind, isResident]);
    const known = sessions.get(key);
    if (known !== undefined) return known;
    const session = create(kind, isResident);
    sessions.set(key, session);
    return session;
  };
  const close = async (): Promise<void> => {
    const open = await Promise.allSettled(sessions.values());
    sessions.clear();
    for (const session of open) if (session.status === 'fulfilled') await session.value.close();
  };
  return {
    multiply: async (a, b, result, options = {}) => {
      throwIfAborted(options.signal);
      const kind: Kind = {
        a: typeOf(a),
        b: typeOf(b),
        result: typeOf(result),
        compute: options.inFloat64 === true ? 'float64' : typeOf(result),
        transposeA: options.transposeA === true,
        transposeB: options.transposeB === true,
        alpha: options.alpha ?? 1,
        sign: options.add?.sign ?? 0,
      };
      const session = await sessionFor(kind, [a, b, result].some(isOnDevice));
      const binding = session.bind();
      try {
        binding.bindInput('a', tensorOf(a));
        binding.bindInput('b', tensorOf(b));
        if (options.add !== undefined) binding.bindInput('c', tensorOf(options.add.matrix));
        binding.bindOutput('result', tensorOf(result));
        await binding.run({ signal: options.signal });
      } finally {
        binding.close();
      }
    },
    ...(resident === undefined ? {} : { resident: deviceMemory(await sessionFor(plain, true), resident.scratch) }),
    close,
  };
}

/** A · B: the session that every matrix on the device comes from. */
const plain: Kind = {
  a: 'float32',
  b: 'float32',
  result: 'float32',
  compute: 'float32',
  transposeA: false,
  transposeB: false,
  alpha: 1,
  sign: 0,
};

function typeOf(matrix: Operand): RealType {
  return !isOnDevice(matrix) && matrix.data instanceof Float64Array ? 'float64' : 'float32';
}

function tensorOf(matrix: Operand): BoundTensor {
  if (isOnDevice(matrix)) return matrix.tensor;
  return { type: typeOf(matrix), dims: [matrix.rows, matrix.cols], data: matrix.data };
}

/** `TensorProto.DataType` */
const dataTypes = { float32: 1, float64: 11 } as const;
/** `AttributeProto.AttributeType` */
const [floatAttribute, intAttribute] = [1, 2] as const;

function productModel(kind: Kind): Uint8Array {
  const nodes: object[] = [];
  const cast = (input: string, from: RealType, output: string, to: RealType): string => {
    if (from === to) return input;
    nodes.push({
      op_type: 'Cast',
      input: [input],
      output: [output],
      attribute: [{ name: 'to', type: intAttribute, i: dataTypes[to] }],
    });
    return output;
  };
  const { a, b, result, compute, sign } = kind;
  const factors = [cast('a', a, 'aCast', compute), cast('b', b, 'bCast', compute)];
  if (sign !== 0) factors.push(cast('c', result, 'cCast', compute));
  const isCast = result !== compute;
  nodes.push({
    op_type: 'Gemm',
    input: factors,
    output: [isCast ? 'product' : 'result'],
    attribute: [
      { name: 'transA', type: intAttribute, i: kind.transposeA ? 1 : 0 },
      { name: 'transB', type: intAttribute, i: kind.transposeB ? 1 : 0 },
      { name: 'alpha', type: floatAttribute, f: kind.alpha },
      { name: 'beta', type: floatAttribute, f: sign },
    ],
  });
  if (isCast) cast('product', compute, 'result', result);
  const value = (name: string, type: RealType): object => ({
    name,
    type: {
      tensor_type: {
        elem_type: dataTypes[type],
        shape: { dim: [{ dim_param: `${name}Rows` }, { dim_param: `${name}Cols` }] },
      },
    },
  });
  const inputs = [value('a', a), value('b', b), ...(sign === 0 ? [] : [value('c', result)])];
  return ModelProto.encode({
    ir_version: 8,
    opset_import: [{ domain: '', version: 13 }],
    graph: { name: 'product', node: nodes, input: inputs, output: [value('result', result)] },
  });
}
