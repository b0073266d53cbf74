import { describe, expect, it } from 'vitest';
import { BFLOAT16, BOOL, FLOAT, FLOAT16, INT64, UINT8 } from '../../../src/onnx/data-type.js';
import { type Call, missingKernel } from '../../../src/lower/cuda/kernels.js';
import { bfloat16Operators, bfloat16Opset, precisionOf } from '../../../src/ops/precision.js';
import { findOperator } from '../../../src/ops/registry.js';

const call = (opType: string, opset: number, inputs: readonly number[], outputs: readonly number[]): Call => ({
  ...{ domain: '', opType, opset, inputs, outputs },
});

describe('kernels of the CUDA provider', () => {
  it('depend on the version: a kernel that names no end does not serve a later version of its operator', () => {
    for (const opset of [12, 17, 21])
      expect(missingKernel(call('MaxPool', opset, [FLOAT], [FLOAT, INT64]))).toBe(undefined);
    const reason = 'it has no kernel on CUDA in opset 22';
    expect(missingKernel(call('MaxPool', 22, [FLOAT], [FLOAT]))).toBe(reason);
    expect(missingKernel(call('MaxPool', 23, [FLOAT], [FLOAT]))).toBe('it has no kernel on CUDA in opset 23');
    expect(missingKernel(call('AveragePool', 22, [BFLOAT16], [BFLOAT16]))).toBe(undefined);
  });

  it('depend on the types, of each parameter and of all together', () => {
    expect(missingKernel(call('Conv', 22, [BFLOAT16, BFLOAT16], [BFLOAT16]))).toBe(undefined);
    expect(missingKernel(call('Conv', 21, [BFLOAT16, BFLOAT16], [BFLOAT16]))).toMatch(/for bfloat16 in opset 21$/);
    expect(missingKernel(call('ConvTranspose', 22, [BFLOAT16, BFLOAT16], [BFLOAT16]))).toMatch(/for bfloat16/);
    expect(missingKernel(call('Where', 17, [BOOL, UINT8, UINT8], [UINT8]))).toBe(undefined);
    expect(missingKernel(call('ReduceProd', 17, [INT64], [INT64]))).toMatch(/for int64/);
    expect(missingKernel(call('OneHot', 17, [INT64, INT64, FLOAT], [FLOAT]))).toBe(undefined);
    expect(missingKernel(call('OneHot', 17, [INT64, INT64, UINT8], [UINT8]))).toMatch(/for int64 and uint8/);
    const mixed = [FLOAT16, FLOAT, FLOAT, FLOAT, FLOAT];
    expect(missingKernel(call('BatchNormalization', 17, mixed, [FLOAT16]))).toMatch(/for float16 and float32/);
  });

  it('include those of operators with any number of inputs, and know operators that have none', () => {
    expect(missingKernel(call('Concat', 17, [INT64, INT64, INT64, INT64], [INT64]))).toBe(undefined);
    expect(missingKernel(call('LpPool', 18, [FLOAT], [FLOAT]))).toBe('it has no kernel on CUDA');
    expect(missingKernel({ ...call('Gelu', 1, [FLOAT], [FLOAT]), domain: 'com.microsoft' })).toBe(undefined);
    expect(missingKernel({ ...call('Relu', 1, [FLOAT], [FLOAT]), domain: 'my.company' })).toBe(
      'it has no kernel on CUDA',
    );
    // onnxruntime writes it in other operators.
    expect(missingKernel(call('Mish', 18, [FLOAT], [FLOAT]))).toBe(undefined);
  });

  it('are there for every operator that bfloat16 is used in', () => {
    const used = [...bfloat16Operators].flatMap((name) => {
      const [domain, opType] = name.includes('.')
        ? [/^(.*)\.[^.]*$/.exec(name)![1]!, name.split('.').at(-1)!]
        : ['', name];
      const isHalf = ['half', 'widest'].includes(precisionOf(domain, opType, BFLOAT16));
      return isHalf && findOperator(domain, opType) !== undefined ? [{ domain, opType }] : [];
    });
    expect(used.length).toBeGreaterThan(30);
    // Types of the first input and output; the other parameters are no halves.
    const missing = used.filter(({ domain, opType }) => {
      const opset = domain === '' ? bfloat16Opset : 1;
      const isFirst = !['Where', 'Cast', 'Shape', 'Size', 'CastLike', 'Identity', 'Dropout'].includes(opType);
      return isFirst && missingKernel({ domain, opType, opset, inputs: [BFLOAT16], outputs: [] }) !== undefined;
    });
    expect(missing).toEqual([]);
  });
});
