import { LowrankError } from '../errors.js';
import { FLOAT } from '../onnx/data-type.js';
import { identityModel } from '../runtime/tiny-model.js';
import type { Session, SessionOptions } from '../runtime/types.js';
import { orOutOfMemory } from './out-of-memory.js';
import { requirePlacement } from './placement.js';
import type { TrainerOptions } from './trainer.js';

/** The onnxruntime sessions of a trainer, opened as they are needed and closed together. */
export interface StepSessions {
  /** Throws RUNTIME, DEVICE. */
  open(graph: string, bytes: Uint8Array, others?: SessionOptions): Promise<Session>;
  close(): Promise<void>;
}

export function stepSessions({ driver, session: shared = {}, allowCpuNodes, note }: TrainerOptions): StepSessions {
  const sessions: Session[] = [];
  return {
    async open(graph, bytes, others = {}) {
      const all = { ...shared, ...others, sharedArena: true };
      const session = await orOutOfMemory(driver.createSession(bytes, all));
      sessions.push(session);
      const { device = 'cpu' } = shared;
      requirePlacement(session, device, `the ${graph} graph`, allowCpuNodes === true, note ?? (() => undefined));
      return session;
    },
    async close() {
      for (const session of sessions) await session.close();
    },
  };
}

/** The sessions of both graphs of a step, and the one from whose memory all comes that lies on the device between runs. */
export interface StepGraphs {
  readonly gradient: Session;
  readonly update: Session;
  readonly owner: Session;
}

export async function openStepGraphs(
  { gradient, update, graphOptimization = 'all', capture = false }: TrainerOptions,
  isResident: boolean,
  sessions: StepSessions,
): Promise<StepGraphs> {
  if (capture && !isResident) throw new LowrankError('INTERNAL', 'runs are recorded only where the state is resident');
  const recorded: SessionOptions = capture ? { capture } : {};
  const ofGradient = await sessions.open('gradient', gradient.bytes(), { graphOptimization, ...recorded });
  const ofUpdate = await sessions.open('update', update.bytes(), recorded);
  // What a recorded run uses between its nodes is not held for it: no other tensor may come from the memory of its session.
  const owner = capture ? await sessions.open('memory', identityModel(FLOAT)) : ofGradient;
  return { gradient: ofGradient, update: ofUpdate, owner };
}
