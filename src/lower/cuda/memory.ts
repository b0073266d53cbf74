/**
 * Where kernels of the CUDA provider read and write CPU memory: `InputMemoryType` and `OutputMemoryType` of their
 * definitions in onnxruntime/core/providers/cuda/ (tensor/, reduction/, math/, controlflow/, generator/).
 */
const cpuInputs: Readonly<Record<string, readonly number[]>> = {
  Reshape: [1],
  Expand: [1],
  Tile: [1],
  Slice: [1, 2, 3, 4],
  Pad: [1, 2, 3],
  Split: [1],
  Squeeze: [1],
  Unsqueeze: [1],
  ConstantOfShape: [0],
  Range: [0, 1, 2],
  OneHot: [1],
  TopK: [1],
  Trilu: [1],
  CumSum: [1],
  Resize: [1, 2, 3],
  Upsample: [1],
  Dropout: [1, 2],
  ...Object.fromEntries(
    ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].map((name) => [
      `Reduce${name}`,
      [1],
    ]),
  ),
  If: [0],
  Loop: [0, 1],
};

export function readsOnCpu(opType: string, index: number): boolean {
  return cpuInputs[opType]?.includes(index) === true;
}

const cpuOutputs: ReadonlySet<string> = new Set(['Shape', 'Size']);

export function writesOnCpu(opType: string): boolean {
  return cpuOutputs.has(opType);
}
