import type { Node } from '../../graph/node.js';
import { type LinearMap, linearMap } from './linear-map.js';
import { poolBegins, type Window, windowOf } from './window.js';

/** The maps that sum the elements of each window, one per spatial axis. */
export function sumMaps(node: Node, input: readonly number[], output: readonly number[]): LinearMap[] {
  return averageMaps(node, input, output).map(({ rows, columns, elements }) => ({
    rows,
    columns,
    elements: elements.map((weight) => (weight === 0 ? 0 : 1)),
  }));
}

/**
 * The maps of AveragePool along the spatial axes: the mean of a window is a sum along one axis after the other, and so is
 * the number of elements that it is divided by. Elements outside the input count where count_include_pad is set, as far as
 * the padding goes: not those that ceil_mode adds beyond it.
 */
export function averageMaps(node: Node, input: readonly number[], output: readonly number[]): LinearMap[] {
  const kernel = node.ints('kernel_shape') ?? [];
  const window = windowOf(node, kernel, input.length);
  const begins = poolBegins(input, window);
  const isPadCounted = node.int('count_include_pad', 0) !== 0;
  return input.map((size, axis) => averageMap(window, axis, size, output[axis]!, begins[axis]!, isPadCounted));
}

function averageMap(
  window: Window,
  axis: number,
  size: number,
  count: number,
  begin: number,
  isPadCounted: boolean,
): LinearMap {
  const [kernel, stride, dilation] = [window.kernel[axis]!, window.strides[axis]!, window.dilations[axis]!];
  const end = window.autoPad.startsWith('SAME')
    ? Infinity
    : size + (window.autoPad === 'VALID' ? 0 : window.pads[window.kernel.length + axis]!);
  return linearMap(count, size, (row) => {
    const met = Array.from({ length: kernel }, (_, tap) => row * stride - begin + tap * dilation);
    const inside = met.filter((index) => index >= 0 && index < size);
    const counted = isPadCounted ? met.filter((index) => index < end).length : inside.length;
    return inside.map((index): [number, number] => [index, 1 / counted]);
  });
}
