import { float, int, ints, string } from '../../../src/graph/attributes.js';
import type { Input } from './check-gradient.js';
import type { CaseTable } from './elementwise-cases.js';

const x = (...dims: number[]): Input => ({ dims });
const image = x(2, 4, 5, 5);
const window = { kernel_shape: ints([2, 3]), strides: ints([2, 1]), pads: ints([0, 1, 1, 1]) };
/** No two are closer than the step of the differences, in any window. */
const distinct: Input = {
  values: Array.from({ length: 72 }, (_, i) => ((i * 29) % 72) / 10 - 3.57),
  dims: [1, 2, 6, 6],
};
const positive: Input = { dims: [2, 3, 4, 4], range: [0.5, 2] };
const variance: Input = { dims: [4], range: [0.5, 2], fixed: true };
const labels: Input = { ints: [2, 0, 1, 2], dims: [4], isFed: true };

/** One or two of each, so that none is forgotten; attributes are combined in the files of the families. */
export const structuredCases: CaseTable = {
  AveragePool: [{ inputs: [image], attributes: window }],
  BatchNormalization: [{ inputs: [image, x(4), x(4), { dims: [4], fixed: true }, variance] }],
  Conv: [
    { inputs: [image, x(6, 4, 2, 3), x(6)], attributes: window },
    { inputs: [image, x(6, 2, 3, 3)], attributes: { group: int(2), dilations: ints([2, 1]) } },
  ],
  ConvTranspose: [{ inputs: [image, x(4, 3, 2, 3), x(3)], attributes: window }],
  Einsum: [{ inputs: [x(2, 3, 4), x(4, 2)], attributes: { equation: string('bij,jk->bik') } }],
  Gemm: [{ inputs: [x(3, 4), x(5, 4), x(5)], attributes: { transB: int(1), alpha: float(0.5) } }],
  GlobalAveragePool: [{ inputs: [image] }],
  GlobalLpPool: [{ inputs: [positive] }],
  GlobalMaxPool: [{ inputs: [distinct] }],
  GridSample: [
    {
      inputs: [
        { dims: [1, 2, 3, 4] },
        { values: [-1.4, 0.2, 0.3, -0.6, 0.9, 0.4, 0.1, 1.3], dims: [1, 2, 2, 2], fixed: true },
      ],
    },
  ],
  GroupNormalization: [{ inputs: [image, x(4), x(4)], attributes: { num_groups: int(2) }, opset: 21 }],
  InstanceNormalization: [{ inputs: [image, x(4), x(4)] }],
  LRN: [{ inputs: [image], attributes: { size: int(3), alpha: float(0.5) } }],
  LayerNormalization: [{ inputs: [x(2, 3, 5), x(5), x(5)] }],
  LogSoftmax: [{ inputs: [x(2, 3, 4)], attributes: { axis: int(1) } }],
  LpPool: [{ inputs: [positive], attributes: window }],
  MatMul: [{ inputs: [x(2, 3, 4), x(4, 5)] }, { inputs: [x(2, 1, 3, 4), x(3, 4, 2)] }],
  MaxPool: [{ inputs: [distinct], attributes: window }],
  NegativeLogLikelihoodLoss: [{ inputs: [x(4, 3), labels] }],
  PRelu: [{ inputs: [{ values: [-2, -0.5, 0.3, 1.7, -0.2, 0.9], dims: [2, 3] }, x(3)] }],
  Pad: [{ inputs: [x(2, 3, 4), { ints: [0, 1, 2, 0, 0, 1] }] }],
  RMSNormalization: [{ inputs: [x(2, 3, 5), x(5)], opset: 23 }],
  Resize: [
    {
      inputs: [x(1, 2, 3, 3), undefined, { floats: [1, 1, 2, 2] }],
      attributes: { mode: string('linear'), coordinate_transformation_mode: string('half_pixel') },
    },
  ],
  SimplifiedLayerNormalization: [{ inputs: [x(2, 3, 5), x(5)] }],
  Softmax: [{ inputs: [x(2, 3, 4)] }],
  SoftmaxCrossEntropyLoss: [{ inputs: [x(4, 3), labels] }],
  'com.microsoft.SkipLayerNormalization': [{ inputs: [x(2, 3, 4), x(2, 3, 4), x(4), x(4)] }],
  'com.microsoft.SkipSimplifiedLayerNormalization': [{ inputs: [x(2, 3, 4), x(2, 3, 4), x(4)] }],
};
