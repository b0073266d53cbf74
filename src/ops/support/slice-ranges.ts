import type { InferenceContext } from '../operator.js';
import { shapeError } from './fail.js';
import { type Given, givenInput, input } from './known.js';
import { normalizeAxis } from './layout.js';

/** Indices of an axis: `count` of them from `first` on, `step` apart. */
export interface Range {
  readonly first: number;
  readonly step: number;
  readonly count: number;
  /** Where the axis is named: its place in starts, ends, axes and steps, and its end as given. */
  readonly given?: { readonly place: number; readonly end: number };
}

/** starts, ends, axes, steps: attributes (the first three) up to ai.onnx 9, inputs 1 to 4 since 10. */
function listsOf(context: InferenceContext): Given[] {
  const names = ['starts', 'ends', 'axes'];
  return context.opset < 10
    ? [...names.map((name): Given => context.node.ints(name) ?? 'absent'), 'absent']
    : [1, 2, 3, 4].map((index) => givenInput(context, index));
}

/** The largest int32 and int64 (rounded): "to the end" in the direction of the step, as onnxruntime reads them. */
const toTheEnd = new Set([2 ** 31 - 1, 2 ** 63]);

/** Indices from `start` to before `end`, clamped as numpy does. */
function rangeOf(start: number, end: number, step: number, size: number): Range {
  const clamp = (index: number, low: number, high: number): number =>
    Math.min(Math.max(index < 0 ? index + size : index, low), high);
  const first = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const stop = step > 0 ? clamp(end, 0, size) : toTheEnd.has(end) ? -1 : clamp(end, -1, size - 1);
  return { first, step, count: Math.max(0, Math.ceil((stop - first) / step)) };
}

/** What a Slice takes of each axis; undefined where it is not known before the run. */
export function sliceRanges(context: InferenceContext): readonly Range[] | undefined {
  const x = input(context, 0);
  const [starts, ends, axes, steps] = listsOf(context);
  if (starts === 'unknown' || ends === 'unknown' || axes === 'unknown' || steps === 'unknown') return undefined;
  if (!Array.isArray(starts) || !Array.isArray(ends) || starts.length !== ends.length) {
    throw shapeError('Slice without as many starts as ends');
  }
  const ranges = x.dims.map((size): Range => ({ first: 0, step: 1, count: size }));
  starts.forEach((start: number, place) => {
    const axis = normalizeAxis(Array.isArray(axes) ? (axes[place] as number) : place, x.dims.length);
    const step = Array.isArray(steps) ? (steps[place] as number) : 1;
    if (step === 0) throw shapeError('Slice with a step of 0');
    const end = ends[place] as number;
    ranges[axis] = { ...rangeOf(start, end, step, x.dims[axis]!), given: { place, end } };
  });
  return ranges;
}
