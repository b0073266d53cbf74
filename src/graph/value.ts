import type { Entry } from '../onnx/model-file.js';
import type { Tensor } from '../onnx/tensor.js';
import type { Node } from './node.js';

/** A dimension as a model declares it: a number, a symbol such as "batch", or undefined where it says nothing. */
export type Dimension = number | string | undefined;

/** What a ValueInfoProto says of a tensor; `dims` is undefined where even the rank is open. */
export interface DeclaredType {
  readonly dataType: number;
  readonly dims: readonly Dimension[] | undefined;
}

/** Input `index` of `node`; index −1: a body of `node` (If, Loop, Scan) reads the value from outside. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** An edge of the graph. Made and changed by Graph only. */
export class Value {
  name: string;
  producer: Node | undefined;
  /** In the order in which they were added. */
  readonly uses: Use[] = [];
  /** The data of an initializer. */
  tensor: Tensor | undefined;
  isInput = false;
  isOutput = false;
  declared: DeclaredType | undefined;
  /** The ValueInfoProto it was declared by. */
  info: Entry | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** An initializer that callers may not override: what a weight must be (IR 3 lists all initializers as inputs too). */
  get isInitializer(): boolean {
    return this.tensor !== undefined;
  }
}
