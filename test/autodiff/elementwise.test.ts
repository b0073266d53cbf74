import { describe, it } from 'vitest';
import { checkGradient } from './support/check-gradient.js';

describe('gradients of element-wise operators', () => {
  it('Relu', () =>
    checkGradient({ opType: 'Relu', inputs: [{ values: [-2, -0.5, 0.3, 1.7, -0.2, 0.9], dims: [2, 3] }] }));
  it('Add, broadcast', () => checkGradient({ opType: 'Add', inputs: [{ dims: [2, 3, 4] }, { dims: [3, 1] }] }));
  it('Mul, broadcast', () => checkGradient({ opType: 'Mul', inputs: [{ dims: [3, 1] }, { dims: [2, 3, 4] }] }));
});
