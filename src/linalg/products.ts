import { throwIfAborted } from '../errors.js';
import { ModelProto } from '../onnx/proto.js';
import type { Driver, RuntimeTensor, Session } from '../runtime/types.js';

/** A row-major matrix in either precision, without gaps. */
export interface RealMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array | Float64Array;
}

export interface ProductOptions {
  readonly transposeA?: boolean | undefined;
  readonly transposeB?: boolean | undefined;
  /** Added to the product with this sign; of the shape and type of the result. */
  readonly add?: { readonly matrix: RealMatrix; readonly sign: 1 | -1 } | undefined;
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
  readonly sign: 0 | 1 | -1;
}

/** Matrix products, by one engine. */
export interface Products {
  /** result ← op(A) · op(B) ± C, into the memory of `result`. Throws RUNTIME or ABORTED. */
  multiply(a: RealMatrix, b: RealMatrix, result: RealMatrix, options?: ProductOptions): Promise<void>;
  close(): Promise<void>;
}

/** Products in onnxruntime on the CPU: one tiny graph for each combination of types and transpositions. */
export function createProducts(driver: Driver, threads: number | undefined): Products {
  const sessions = new Map<string, Promise<Session>>();
  const sessionFor = (kind: Kind): Promise<Session> => {
    const key = JSON.stringify(kind);
    const known = sessions.get(key);
    if (known !== undefined) return known;
    // Several products run side by side with workers: threads that spin while they wait would take cores from them.
    const config = { 'session.intra_op.allow_spinning': '0' };
    // Only casts to float64 take memory; what those of a large matrix need must not stay with the session.
    const options = { config, memoryArena: false, ...(threads === undefined ? {} : { threads }) };
    const session = driver.createSession(productModel(kind), options);
    sessions.set(key, session);
    return session;
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
        sign: options.add?.sign ?? 0,
      };
      const session = await sessionFor(kind);
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
    close: async () => {
      const open = await Promise.allSettled(sessions.values());
      sessions.clear();
      for (const session of open) if (session.status === 'fulfilled') await session.value.close();
    },
  };
}

function typeOf({ data }: RealMatrix): RealType {
  return data instanceof Float64Array ? 'float64' : 'float32';
}

function tensorOf(matrix: RealMatrix): RuntimeTensor {
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
