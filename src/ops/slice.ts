import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { pick, upTo } from './support/select.js';
import { sliceGradient } from './support/slice-gradient.js';
import { type Range, sliceRanges } from './support/slice-ranges.js';

/** x[starts : ends : steps] on the axes given (ai.onnx 1; inputs since 10; negative steps). */
export const slice: Operator = {
  opType: 'Slice',
  domain: '',
  gradient: sliceGradient,
  infer: (context) => {
    const x = input(context, 0);
    const ranges = sliceRanges(context);
    if (ranges === undefined) return undefined;
    // Indices are listed only where elements are known.
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
