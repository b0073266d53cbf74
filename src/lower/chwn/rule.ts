import type { TapeEntry } from '../../autodiff/backward.js';
import type { ForwardSource } from '../../autodiff/forward.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import type { BatchStatistics } from '../../ops/training.js';
import type { Gradient } from './gradient.js';

/**
 * How a value lies in memory: `model` as the model has it, [N, C, H, W]; `batch-last` with the first axis moved behind the
 * others, [C, H, W, N]. Parameters and constants are in the model's layout until a rule wants them otherwise.
 */
export type Layout = 'model' | 'batch-last';

/** What rules may know of the model before anything is emitted. */
export interface MatchContext {
  readonly source: ForwardSource;
  readonly e: Emitter;
  readonly options: LowerOptions;
  /** Dims of a value of the model, in the model's layout. */
  dims(value: Value): readonly number[];
  /** Whether `value` is read once, and by a node that the output needs. */
  isReadOnce(value: Value): boolean;
}

/** Facts about the runtime that the step is emitted for. */
export interface LowerOptions {
  /** Operators of com.microsoft may be used. */
  readonly hasContribOperators: boolean;
  /** Channels per block of com.microsoft.nchwc.Conv, undefined where that is not to be used. See `probeBlockedConv`. */
  readonly blockSize?: number | undefined;
}

/** An entry of the tape in training values; `backward` gives gradients of the inputs in their shapes. */
export type Entry = Omit<TapeEntry<Value, Gradient>, 'isDifferentiable'>;

/** Where a rule emits. Values of the model are asked for by layout and defined in one. */
export interface LowerContext extends MatchContext {
  layoutOf(value: Value): Layout;
  /** The training value of a value of the model, [N, C, H, W]. */
  inModel(value: Value): Value;
  /** The training value of a value of the model, [C, H, W, N]. */
  batchLast(value: Value): Value;
  define(value: Value, result: Value, layout: Layout): void;
  record(entry: Entry): void;
  /** Emits nodes whose gradients are those of their operators. */
  recordNodes<T>(emit: () => T): T;
  /** What the normalization layer `node` saw of the batch. */
  addStatistics(node: Node, statistics: BatchStatistics): void;
}

/** What becomes of a node, and of nodes that lead to it. */
export interface Lowering {
  /** Nodes that are emitted along with this one: nobody else reads their outputs. */
  readonly absorbs?: readonly Node[];
  /** Emits the forward pass, defines the node's outputs, records how gradients come back. */
  emit(context: LowerContext): void;
}

/** How one operator, or one pattern that ends in `node`, is computed in the batch-last layout; undefined where it does not apply. */
export type LoweringRule = (node: Node, context: MatchContext) => Lowering | undefined;
