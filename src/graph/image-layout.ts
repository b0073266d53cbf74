/** Where the colors of an image of `dims` (three numbers, without the batch) are. */
export function layoutOf(dims: readonly number[]): 'nchw' | 'nhwc' {
  const isColors = (dim: number | undefined): boolean => dim === 1 || dim === 3;
  return dims.length === 3 && !isColors(dims[0]) && isColors(dims[2]) ? 'nhwc' : 'nchw';
}
