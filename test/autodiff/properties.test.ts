import fc from 'fast-check';
import { describe, it } from 'vitest';
import { int, ints } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';

const seed = 20_260_401;
const settings = { seed, numRuns: 12 };
const size = fc.integer({ min: 1, max: 4 });
const shape = fc.array(size, { minLength: 1, maxLength: 4 });

describe(`gradients over random attributes and shapes, seed ${seed}`, () => {
  it('broadcasting: Mul and Where with any dimension of either side stretched', () => {
    const pair = shape.chain((dims) =>
      fc.record({
        dims: fc.constant(dims),
        ones: fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }),
        dropped: fc.integer({ min: 0, max: dims.length }),
        isSwapped: fc.boolean(),
      }),
    );
    const property = fc.asyncProperty(pair, async ({ dims, ones, dropped, isSwapped }) => {
      const small = dims.map((dim, i) => (ones[i] === true ? 1 : dim)).slice(dropped);
      const inputs = isSwapped ? [{ dims: small }, { dims }] : [{ dims }, { dims: small }];
      await checkGradient({ opType: 'Mul', inputs });
      await checkGradient({ opType: 'Where', inputs: [{ bools: [1], dims: [1] }, ...inputs] });
    });
    return fc.assert(property, settings);
  });

  it('Slice with any starts, ends and steps', () => {
    const index = fc.integer({ min: -8, max: 8 });
    const taken = fc.record({ start: index, end: index, step: fc.constantFrom(-3, -2, -1, 1, 2, 3) });
    const property = fc.asyncProperty(taken, taken, async (a, b) => {
      const dims = [6, 7];
      const isEmpty = [a, b].some(({ start, end, step }, axis) => lengthOf(start, end, step, dims[axis]!) === 0);
      fc.pre(!isEmpty);
      const lists = (['start', 'end'] as const).map((key) => ({ ints: [a[key], b[key]] }));
      const inputs = [{ dims }, ...lists, { ints: [0, 1] }, { ints: [a.step, b.step] }];
      await checkGradient({ opType: 'Slice', inputs });
    });
    return fc.assert(property, { ...settings, numRuns: 25 });
  });

  it('Gather with any constant or fed indices on any axis', () => {
    const list = fc.array(fc.integer({ min: -4, max: 3 }), { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(
      list,
      fc.integer({ min: -3, max: 2 }),
      fc.boolean(),
      async (found, axis, isFed) => {
        const inputs = [{ dims: [4, 4, 4] }, { ints: found, isFed }];
        await checkGradient({ opType: 'Gather', inputs, attributes: { axis: int(axis) } });
      },
    );
    return fc.assert(property, { ...settings, numRuns: 25 });
  });

  it('reductions and Transpose over any axes', () => {
    const orders = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4, maxLength: 4 });
    const axes = fc.subarray([-4, 1, 2, -1], { minLength: 1 });
    const opType = fc.constantFrom('ReduceMean', 'ReduceL2', 'ReduceProd', 'ReduceLogSumExp');
    const property = fc.asyncProperty(opType, axes, orders, fc.boolean(), async (name, chosen, perm, isKept) => {
      const inputs = [{ dims: [2, 3, 2, 4], range: [0.5, 1.5] as const }];
      await checkGradient({ opType: name, inputs, attributes: { axes: ints(chosen), keepdims: int(isKept ? 1 : 0) } });
      await checkGradient({ opType: 'Transpose', inputs, attributes: { perm: ints(perm) } });
    });
    return fc.assert(property, settings);
  });
});

/** Number of elements that numpy's slice takes of an axis. */
function lengthOf(start: number, end: number, step: number, extent: number): number {
  const clamp = (index: number, low: number, high: number): number =>
    Math.min(Math.max(index < 0 ? index + extent : index, low), high);
  const [low, high] = step > 0 ? [0, extent] : [-1, extent - 1];
  const first = step > 0 ? clamp(start, low, high) : clamp(start, 0, high);
  return Math.max(0, Math.ceil((clamp(end, low, high) - first) / step));
}
