import { float, ints } from '../../graph/attributes.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import { affineSum, blockedFor } from './blocked.js';
import { whole } from './gradient.js';
import { rectified, steep } from './relu.js';
import type { LowerContext, LoweringRule, MatchContext } from './rule.js';
import { type Geometry, poolGeometry } from './window.js';

/**
 * MaxPool one axis after the other, the last first: the first of equal maxima in row-major order, which gets the gradient
 * as in PyTorch, is then the first along each axis. Relu before the pool changes places with it where nothing else reads
 * it: max(0, ·) is monotonic, there is less of it behind the pool, and zeros no longer tie.
 */
export const maxPool: LoweringRule = (node, context) => {
  const input = node.inputs[0];
  if (!node.is('MaxPool') || input === undefined || node.outputs[1] !== undefined) return undefined;
  const geometry = poolGeometry(node, context.dims(input).slice(2));
  if (geometry === undefined) return undefined;
  const before = reluBefore(input, context);
  return {
    ...(before === undefined ? {} : { absorbs: [before] }),
    emit: (at) => {
      let y = at.batchLast(before === undefined ? input : before.inputs[0]!);
      for (let axis = geometry.from.length - 1; axis >= 0; axis--) y = poolAxis(at, node, y, geometry, axis);
      if (before !== undefined) y = rectified(at, before, y);
      at.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};

function reluBefore(value: Value, { isReadOnce }: MatchContext): Node | undefined {
  const { producer } = value;
  return producer?.is('Relu') === true && producer.inputs[0] !== undefined && isReadOnce(value) ? producer : undefined;
}

/** One axis of a pool: windows over L of x [A, L, B]. */
interface Axis {
  readonly length: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
}

function poolAxis(context: LowerContext, node: Node, x: Value, geometry: Geometry, index: number): Value {
  const { e } = context;
  const dims = e.dims(x);
  const axis: Axis = {
    length: geometry.from[index]!,
    outputs: geometry.to[index]!,
    kernel: geometry.kernel[index]!,
    stride: geometry.strides[index]!,
    dilation: geometry.dilations[index]!,
    before: geometry.before[index]!,
  };
  if (axis.kernel === 1 && axis.stride === 1 && axis.length === axis.outputs) return x;
  const outer = sizeOf(dims.slice(0, index + 1));
  const inner = sizeOf(dims.slice(index + 2));
  const view = e.reshape(x, [outer, axis.length, inner]);
  const { kernel, stride, dilation, before, length, outputs } = axis;
  const after = (outputs - 1) * stride + dilation * (kernel - 1) + 1 - length - before;
  // One channel: onnxruntime reorders pools of many channels into blocks, which costs more than the pool.
  // A negative padding cuts away what no window reads: MaxPool leaves it out by itself.
  const pooled = e.emit(
    'MaxPool',
    [e.reshape(view, [outer, 1, length, inner])],
    {
      kernel_shape: ints([kernel, 1]),
      strides: ints([stride, 1]),
      dilations: ints([dilation, 1]),
      pads: ints([before, 0, Math.max(0, after), 0]),
    },
    { name: node.id },
  );
  const y = e.reshape(pooled, [...dims.slice(0, index + 1), outputs, ...dims.slice(index + 2)]);
  context.record({
    inputs: [x],
    outputs: [y],
    label: node.label,
    backward: ([gradient]) => {
      const shape = [outer, outputs, inner];
      const dy = e.reshape(whole(e, gradient!, y), shape);
      return [{ value: e.reshapeLike(axisGradient(context, view, e.reshape(y, shape), dy, axis, dims.at(-1)!), x) }];
    },
  });
  return y;
}

/** Below every other number, as onnxruntime pads. */
const lowest = -3.4028234663852886e38;

/**
 * Each tap in turn takes what is left of dy where it equals the maximum, the last takes the rest; the taps' shares are then
 * added where they come from, residue by residue modulo the stride.
 */
function axisGradient(context: LowerContext, x: Value, y: Value, dy: Value, axis: Axis, batch: number): Value {
  const { e } = context;
  const { kernel, stride, dilation, before, length } = axis;
  const shares: Value[] = [];
  let rest = dy;
  for (let tap = 0; tap < kernel; tap++) {
    if (tap === kernel - 1) {
      shares.push(rest);
      break;
    }
    const mask = equals(context, tapOf(e, x, tap, axis), y, batch);
    const share = e.mul(rest, mask);
    shares.push(share);
    rest = e.sub(rest, share);
  }
  const rows = Math.ceil(length / stride);
  const residues = Array.from({ length: stride }, (_, residue) => {
    const parts = shares.flatMap((share, tap) => {
      const offset = tap * dilation - before - residue;
      // Window o reads row o + offset / stride of this residue.
      return offset % stride === 0 ? [shifted(e, share, offset / stride, rows)] : [];
    });
    return parts.length === 0 ? undefined : parts.reduce((a, b) => e.add(a, b));
  });
  const [outer, , inner] = e.dims(x) as [number, number, number];
  if (stride === 1) return shifted(e, residues[0]!, 0, length);
  const zeros = residues.includes(undefined) ? e.zerosLike(residues.find((value) => value !== undefined)!) : undefined;
  const interleaved = e.concat(
    residues.map((value) => e.reshape(value ?? zeros!, [outer, rows, 1, inner])),
    2,
  );
  const all = e.reshape(interleaved, [outer, rows * stride, inner]);
  return shifted(e, all, 0, length);
}

/** 1 where the tap equals the maximum y, 0 where it is less: steep · (tap − y) + 1, cut to [0, 1]. */
function equals({ e, options }: LowerContext, tap: Value, y: Value, batch: number): Value {
  const [outer, length, inner] = e.dims(y) as [number, number, number];
  // As [A, L, …, N], of which the last axis is that of the blocks.
  const split = [outer, (length * inner) / batch, batch];
  const blocked = blockedFor(e, e.reshape(y, split), options);
  const sharp = { opType: 'HardSigmoid', alpha: steep, beta: 1 } as const;
  if (blocked === undefined) {
    return e.emit('HardSigmoid', [e.sub(tap, y)], { alpha: float(sharp.alpha), beta: float(sharp.beta) });
  }
  const [negative, zeros] = [-1, 0].map((value) => e.floats(new Float32Array(outer).fill(value)));
  const [a, b] = [tap, y].map((value) => e.reshape(value, split));
  return e.reshape(affineSum(e, b!, negative!, zeros!, a!, blocked, sharp), [outer, length, inner]);
}

/** What a tap reads of x [A, L, B] in each window, `lowest` outside: [A, outputs, B]. */
function tapOf(e: Emitter, x: Value, tap: number, axis: Axis): Value {
  const { stride, dilation, before, length, outputs } = axis;
  const at = Array.from({ length: outputs }, (_, o) => o * stride + tap * dilation - before);
  const inside = at.filter((position) => position >= 0 && position < length);
  const skipped = at.findIndex((position) => position >= 0);
  const taken = e.emit('Gather', [x, e.ints(inside)], { axis: { type: 'int', value: 1 } });
  if (inside.length === outputs) return taken;
  const pads = [0, skipped, 0, 0, outputs - skipped - inside.length, 0];
  return e.emit('Pad', [taken, e.ints(pads), e.scalar(lowest, x)]);
}

/** Row r of x [A, L, B] becomes row r + by of `rows`; zeros come in, what falls out is lost. */
function shifted(e: Emitter, x: Value, by: number, rows: number): Value {
  const length = e.dims(x)[1]!;
  return e.pad(x, [0, by, 0, 0, rows - length - by, 0]);
}
