import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Tensor } from '../onnx/tensor.js';
import { gather } from '../files/chunk.js';
import { encodeModel } from './encode.js';
import type { Model } from './model.js';
import { modelBytes } from './write.js';

/** A model as onnxruntime takes it: a path, or bytes with the folder that their external data lie in. */
export interface RunnableModel {
  readonly model: string | Uint8Array;
  readonly externalDataFolder?: string;
}

/** Tensors from this size on are referred to; shape constants must stay where shape inference sees them. */
const referredSize = 4096;

/**
 * The model with its large initializers as external data that are ranges of its own file: onnxruntime maps these, where
 * loading the file itself holds them twice (the message, then the tensors). The weights are those of the file, at the
 * time of the run; the graph is the model's, as it is now.
 */
export function runnableModel(model: Model): RunnableModel {
  const { file } = model;
  if (file?.path === undefined) return { model: modelBytes(model) };
  // Other data files are found from the folder of the path as given; onnxruntime maps these already.
  if (file.external.isUsed) return { model: file.path };
  // Of a link, the file it leads to: data must not lie outside of the folder.
  const path = realpathSync(file.path);
  const encode = (tensor: Tensor) => {
    if ((tensor.byteLength ?? 0) < referredSize) return tensor.encodeInline();
    const { source, start } = tensor.payload();
    return source === file.source ? tensor.encodeExternal(basename(path), start) : tensor.encodeInline();
  };
  return { model: gather(encodeModel(model, encode)), externalDataFolder: dirname(path) };
}
