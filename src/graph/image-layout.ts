import { areUsualChannels, mostChannels } from '../channels.js';

/** Where the colors of an image of `dims` (three numbers, without the batch) are. */
export function layoutOf(dims: readonly number[]): 'nchw' | 'nhwc' {
  const isColors = (dim: number | undefined): boolean => dim === 1 || dim === 3;
  return dims.length === 3 && !isColors(dims[0]) && isColors(dims[2]) ? 'nhwc' : 'nchw';
}

/** As `layoutOf`, and pictures of other than one or three channels. */
export function pictureLayoutOf(dims: readonly number[]): 'nchw' | 'nhwc' {
  const [first, second, third] = dims as [number, number, number];
  // Channels are few; of two that could be them, those that differ from both sides.
  const isFew = third > 0 && third <= mostChannels;
  const isLast = isFew && (first === second ? first !== third : first > mostChannels && second !== third);
  return !areUsualChannels(first) && isLast ? 'nhwc' : layoutOf(dims);
}
