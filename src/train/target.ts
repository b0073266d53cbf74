import { copyForward } from '../autodiff/copy-forward.js';
import type { BuildForward } from '../autodiff/forward.js';
import { lowerForwardFor } from '../lower/chwn/forward.js';
import { probeBlockedConv } from '../lower/chwn/probe.js';
import type { Driver, SessionOptions } from '../runtime/types.js';

/** Where the emitted graphs run: `portable` on any onnxruntime, with standard operators only. */
export const targetNames = ['portable', 'cpu', 'cuda'] as const;
export type TargetName = (typeof targetNames)[number];

/** How the forward pass is emitted for a target, and the operator sets it needs beside the model's. */
export interface Target {
  readonly build: BuildForward;
  readonly opsets: ReadonlyMap<string, number>;
  /** What onnxruntime may change of the gradient graph. */
  readonly graphOptimization: NonNullable<SessionOptions['graphOptimization']>;
  /** What was found out about the machine: a training goes on bit for bit only where it is the same. */
  readonly machine: Readonly<Record<string, unknown>>;
}

const portable: Target = { build: copyForward, opsets: new Map(), graphOptimization: 'all', machine: {} };

/**
 * The target of a name. `cpu` lowers the graph to one layout and uses the blocked depthwise convolution where this
 * machine's onnxruntime has it, which a run of the operator finds out. Its graphs have a fixed batch.
 */
export async function targetOf(name: TargetName, driver: Driver): Promise<Target> {
  if (name !== 'cpu') return portable;
  const blockSize = await probeBlockedConv(driver);
  return {
    build: lowerForwardFor({ hasContribOperators: true, blockSize }),
    opsets: new Map([
      ['com.microsoft', 1],
      ['com.microsoft.nchwc', 1],
    ]),
    // It is as it should be run: rewritten by onnxruntime (transpositions pushed about, Conv taken apart), it takes 5 to
    // 10 % longer.
    graphOptimization: 'disabled',
    machine: { blockSize: blockSize ?? null },
  };
}
