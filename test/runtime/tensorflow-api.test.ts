import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import type { TensorFlowApi } from '../../src/runtime/tensorflow-api.js';

it('is what TensorFlow.js has: a signature that differs does not compile', () => {
  const api: TensorFlowApi = tf;
  expect(typeof api.matMul).toBe('function');
});
