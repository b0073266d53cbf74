/** An array in the memory of TensorFlow.js. */
export interface Tensor {
  readonly shape: readonly number[];
  /** float32 numbers, for the tensors that are made here. */
  data(): Promise<Float32Array | Int32Array | Uint8Array>;
  dispose(): void;
}

/**
 * What is used of TensorFlow.js, in its own words (https://js.tensorflow.org/api/latest). Written out because the package is
 * optional: nothing that is compiled or published may need its types.
 */
export interface TensorFlowApi {
  tensor2d(values: Float32Array, shape: [number, number]): Tensor;
  scalar(value: number): Tensor;
  zerosLike(x: Tensor): Tensor;
  reshape(x: Tensor, shape: number[]): Tensor;
  matMul(a: Tensor, b: Tensor, transposeA?: boolean, transposeB?: boolean): Tensor;
  add(a: Tensor, b: Tensor | number): Tensor;
  sub(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor | number): Tensor;
  div(a: Tensor, b: Tensor | number): Tensor;
  square(x: Tensor): Tensor;
  sqrt(x: Tensor): Tensor;
  sum(x: Tensor): Tensor;
  relu(x: Tensor): Tensor;
  leakyRelu(x: Tensor, alpha: number): Tensor;
  clipByValue(x: Tensor, min: number, max: number): Tensor;
  sigmoid(x: Tensor): Tensor;
  tanh(x: Tensor): Tensor;
  erf(x: Tensor): Tensor;
  slice(x: Tensor, begin: number[], size: number[]): Tensor;
  /** The value of `f`, a scalar, and its gradients by all arguments. */
  valueAndGrads(f: (...x: Tensor[]) => Tensor): (x: Tensor[]) => { readonly value: Tensor; readonly grads: Tensor[] };
  /** Runs `task` and disposes of all tensors that it made, but for those it returns. */
  tidy<T>(task: () => T): T;
  memory(): { readonly numTensors: number };
  getBackend(): string;
  setBackend(name: string): Promise<boolean>;
  backend(): object;
  env(): { set(flag: string, value: boolean | number): void };
}
