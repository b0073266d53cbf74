import { type MessagePort, parentPort } from 'node:worker_threads';
import { LowrankError, messageOf } from '../../errors.js';
import { inverseCholesky } from './cholesky.js';
import { denseProduct } from './product.js';
import type { DenseReply, DenseRequest, DenseResult } from './protocol.js';
import { symmetricEigen, symmetricEigenvalues } from './symmetric-eigen.js';

function solve(request: DenseRequest): { readonly result: DenseResult; readonly arrays: readonly Float64Array[] } {
  const { matrix, n } = request;
  switch (request.kind) {
    case 'eigen': {
      const result = symmetricEigen(matrix, n, request.count);
      return { result, arrays: [result.values, result.vectors] };
    }
    case 'eigenvalues': {
      const values = symmetricEigenvalues(matrix, n);
      return { result: { values }, arrays: [values] };
    }
    case 'inverseCholesky': {
      const inverse = inverseCholesky(matrix, n);
      return { result: { inverse }, arrays: inverse === undefined ? [] : [inverse] };
    }
    case 'product': {
      const product = denseProduct(request);
      return { result: { product }, arrays: [product] };
    }
  }
}

function answer(port: MessagePort, request: DenseRequest): void {
  let reply: DenseReply;
  let arrays: readonly Float64Array[] = [];
  try {
    const solved = solve(request);
    reply = { result: solved.result };
    arrays = solved.arrays;
  } catch (error) {
    const code = error instanceof LowrankError ? error.code : 'INTERNAL';
    reply = { error: { code, fact: error instanceof LowrankError ? error.fact : messageOf(error) } };
  }
  port.postMessage(
    reply,
    arrays.map((array) => array.buffer as ArrayBuffer),
  );
}

if (parentPort !== null) {
  const port = parentPort;
  port.on('message', (request: DenseRequest) => {
    answer(port, request);
  });
}
