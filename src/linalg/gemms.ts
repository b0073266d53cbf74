import { ModelProto } from '../onnx/proto.js';
import type { Driver, Session } from '../runtime/types.js';
import type { GemmOptions, Matrix } from './types.js';

export interface Gemms {
  multiply(a: Matrix, b: Matrix, options: GemmOptions): Promise<Matrix>;
  /** The Gram matrix of the smaller side, in float64. */
  gram64(a: Matrix): Promise<Float64Array>;
  close(): Promise<void>;
}

/** Matrix products in onnxruntime: one small model for each transposition. */
export async function createGemms(driver: Driver, threads?: number): Promise<Gemms> {
  const options = threads === undefined ? {} : { threads };
  const sessions = new Map<string, Promise<Session>>();
  const sessionOf = (transA: boolean, transB: boolean): Promise<Session> => {
    const key = `${transA} ${transB}`;
    const known = sessions.get(key) ?? driver.createSession(gemmModel(transA, transB), options);
    sessions.set(key, known);
    return known;
  };
  const gram = async (isWide: boolean): Promise<Session> => {
    const key = `gram ${isWide}`;
    const known = sessions.get(key) ?? driver.createSession(gramModel(isWide), options);
    sessions.set(key, known);
    return known;
  };
  const feed = (m: Matrix) => ({ type: 'float32', dims: [m.rows, m.cols], data: m.data }) as const;
  return {
    multiply: async (a, b, { transposeA = false, transposeB = false }) => {
      const session = await sessionOf(transposeA, transposeB);
      const { c } = await session.run({ a: feed(a), b: feed(b) });
      const [rows = 0, cols = 0] = c!.dims;
      return { rows, cols, data: c!.data as Float32Array };
    },
    gram64: async (a) => {
      const session = await gram(a.cols >= a.rows);
      const { c } = await session.run({ a: feed(a) });
      return c!.data as Float64Array;
    },
    close: async () => {
      for (const session of sessions.values()) await (await session).close();
      sessions.clear();
    },
  };
}

const matrix = (name: string, type: number) => ({
  name,
  type: { tensor_type: { elem_type: type, shape: { dim: [{ dim_param: `${name}0` }, { dim_param: `${name}1` }] } } },
});

function gemmModel(transA: boolean, transB: boolean): Uint8Array {
  const attribute = (name: string, value: boolean) => ({ name, type: 2, i: value ? 1 : 0 });
  return ModelProto.encode({
    ir_version: 8,
    opset_import: [{ domain: '', version: 17 }],
    graph: {
      name: 'gemm',
      input: [matrix('a', 1), matrix('b', 1)],
      output: [matrix('c', 1)],
      node: [
        {
          op_type: 'Gemm',
          input: ['a', 'b'],
          output: ['c'],
          attribute: [attribute('transA', transA), attribute('transB', transB)],
        },
      ],
    },
  });
}

function gramModel(isWide: boolean): Uint8Array {
  const node = (op_type: string, input: string[], output: string, attribute: object[] = []) => ({
    op_type,
    input,
    output: [output],
    attribute,
  });
  return ModelProto.encode({
    ir_version: 8,
    opset_import: [{ domain: '', version: 17 }],
    graph: {
      name: 'gram',
      input: [matrix('a', 1)],
      output: [matrix('c', 11)],
      node: [
        node('Cast', ['a'], 'd', [{ name: 'to', type: 2, i: 11 }]),
        node('Transpose', ['d'], 't', [{ name: 'perm', type: 7, ints: [1, 0] }]),
        node('MatMul', isWide ? ['d', 't'] : ['t', 'd'], 'c'),
      ],
    },
  });
}
