import type { InferenceContext, Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { type Given, givenInput, input, known } from './support/known.js';
import { normalizeAxis } from './support/layout.js';
import { pick, upTo } from './support/select.js';

/** starts, ends, axes, steps: attributes (the first three) up to ai.onnx 9, inputs 1 to 4 since 10. */
function listsOf(context: InferenceContext): Given[] {
  const names = ['starts', 'ends', 'axes'];
  return context.opset < 10
    ? [...names.map((name): Given => context.node.ints(name) ?? 'absent'), 'absent']
    : [1, 2, 3, 4].map((index) => givenInput(context, index));
}

/** The largest int32 and int64 (rounded): "to the end" in the direction of the step, as onnxruntime reads them. */
const toTheEnd = new Set([2 ** 31 - 1, 2 ** 63]);

/** Indices of an axis: `count` of them from `first` on, `step` apart. They are listed only where elements are known. */
interface Range {
  readonly first: number;
  readonly step: number;
  readonly count: number;
}

/** Indices from `start` to before `end`, clamped as numpy does. */
function range(start: number, end: number, step: number, size: number): Range {
  const clamp = (index: number, low: number, high: number): number =>
    Math.min(Math.max(index < 0 ? index + size : index, low), high);
  const first = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const stop = step > 0 ? clamp(end, 0, size) : toTheEnd.has(end) ? -1 : clamp(end, -1, size - 1);
  return { first, step, count: Math.max(0, Math.ceil((stop - first) / step)) };
}

/** x[starts : ends : steps] on the axes given (ai.onnx 1; inputs since 10; negative steps). */
export const slice: Operator = {
  opType: 'Slice',
  domain: '',
  infer: (context) => {
    const x = input(context, 0);
    const [starts, ends, axes, steps] = listsOf(context);
    if (starts === 'unknown' || ends === 'unknown' || axes === 'unknown' || steps === 'unknown') return undefined;
    if (!Array.isArray(starts) || !Array.isArray(ends) || starts.length !== ends.length) {
      throw shapeError('Slice without as many starts as ends');
    }
    const ranges = x.dims.map((size): Range => ({ first: 0, step: 1, count: size }));
    starts.forEach((start: number, i) => {
      const axis = normalizeAxis(Array.isArray(axes) ? (axes[i] as number) : i, x.dims.length);
      const step = Array.isArray(steps) ? (steps[i] as number) : 1;
      if (step === 0) throw shapeError('Slice with a step of 0');
      ranges[axis] = range(start, ends[i] as number, step, x.dims[axis]!);
    });
    const listed = ({ first, step, count }: Range): number[] => upTo(count).map((i) => first + i * step);
    const constant = x.constant === undefined ? undefined : pick(x.constant, x.dims, ranges.map(listed));
    return [
      known(
        x.dataType,
        ranges.map(({ count }) => count),
        constant,
      ),
    ];
  },
};
