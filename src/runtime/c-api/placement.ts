import type { PlacedNode, SessionOptions } from '../types.js';
import type { NativeApi } from './api.js';

/** Makes a session remember which provider each node was given to. */
export const PLACEMENT_KEY = 'session.record_ep_graph_assignment_info';

/** The first 1.x of onnxruntime whose sessions tell. */
const OLDEST_MINOR = 24;

/** Whether a session with these options is asked where its nodes run: on other devices than the CPU, always. */
export function wantsPlacement({ device = 'cpu', recordPlacement }: SessionOptions): boolean {
  return recordPlacement ?? device !== 'cpu';
}

/**
 * The nodes of a session made with `PLACEMENT_KEY` and where they run; undefined where this onnxruntime cannot tell. These
 * are the nodes as onnxruntime divided them between its providers: before it fuses those of one provider.
 */
export function readPlacement(api: NativeApi, session: bigint): readonly PlacedNode[] | undefined {
  const minor = Number(/^1\.(\d+)\./.exec(api.version)?.[1] ?? 0);
  if (minor < OLDEST_MINOR) return undefined;
  const list = (
    name: 'Session_GetEpGraphAssignmentInfo' | 'EpAssignedSubgraph_GetNodes',
    owner: bigint,
  ): readonly bigint[] => {
    const address = new BigUint64Array(1);
    const count = new BigUint64Array(1);
    api.call(name, owner, address, count);
    const length = Number(count[0]);
    if (length === 0) return [];
    return [...new BigUint64Array(api.copy(address[0] ?? 0n, length * BigUint64Array.BYTES_PER_ELEMENT))];
  };
  return list('Session_GetEpGraphAssignmentInfo', session).flatMap((subgraph) => {
    const provider = api.text(api.create('EpAssignedSubgraph_GetEpName', subgraph));
    return list('EpAssignedSubgraph_GetNodes', subgraph).map((node) => ({
      provider,
      name: api.text(api.create('EpAssignedNode_GetName', node)),
      operator: api.text(api.create('EpAssignedNode_GetOperatorType', node)),
    }));
  });
}
