import { LowrankError } from '../errors.js';
import { misplaced } from '../runtime/placement.js';
import type { Device, Session } from '../runtime/types.js';

/** For training, where a node on the CPU costs two copies in every step: throws DEVICE unless `isAllowed`; else notes it. */
export function requirePlacement(
  session: Pick<Session, 'placement'>,
  device: Device,
  graph: string,
  isAllowed: boolean,
  note: (line: string) => void,
): void {
  const fact = misplaced(session, device, graph);
  if (fact === undefined) return;
  if (isAllowed) {
    note(fact);
    return;
  }
  throw new LowrankError('DEVICE', fact, {
    remedy: 'train all the same with --allow-cpu-nodes (slower), or with --device cpu',
  });
}
