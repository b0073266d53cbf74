import { copyForward } from '../autodiff/copy-forward.js';
import type { BuildForward } from '../autodiff/forward.js';

/** Where the emitted graphs run: `portable` on any onnxruntime, with standard operators only. */
export const targetNames = ['portable', 'cpu', 'cuda'] as const;
export type TargetName = (typeof targetNames)[number];

/** How the forward pass is emitted for a target, and the operator sets it needs beside the model's. */
export interface Target {
  readonly build: BuildForward;
  readonly opsets: ReadonlyMap<string, number>;
}

const targets: Readonly<Record<TargetName, Target>> = {
  portable: { build: copyForward, opsets: new Map() },
  cpu: { build: copyForward, opsets: new Map() },
  cuda: { build: copyForward, opsets: new Map() },
};

export function targetOf(name: TargetName): Target {
  return targets[name];
}
