import { PROVIDER_NAMES } from './device.js';
import type { Device, PlacedNode, Session } from './types.js';

/** Nodes of an operator that are named in one line. */
const mostNames = 10;

/** "Equal ×2 ('a', 'b'), OneHot ×1": every operator, and the names that nodes have. */
function listed(nodes: readonly PlacedNode[]): string {
  const operators = new Map<string, string[]>();
  for (const { operator, name } of nodes) operators.set(operator, [...(operators.get(operator) ?? []), name]);
  return [...operators]
    .map(([operator, all]) => {
      const named = all.filter((name) => name !== '').map((name) => `'${name}'`);
      const names = named.length > mostNames ? [...named.slice(0, mostNames), '…'] : named;
      return `${operator} ×${all.length}${names.length === 0 ? '' : ` (${names.join(', ')})`}`;
    })
    .join(', ');
}

/**
 * What is wrong with where the nodes of a session run, in one line: those that are not on its device, or that this
 * onnxruntime does not tell. undefined where all is well: on the CPU, always. `graph` names it for the message.
 */
export function misplaced(
  { placement }: Pick<Session, 'placement'>,
  device: Device,
  graph: string,
): string | undefined {
  if (device === 'cpu') return undefined;
  if (placement === undefined) return `this onnxruntime does not tell which nodes of ${graph} run on the CPU`;
  const strangers = placement.filter(({ provider }) => provider !== PROVIDER_NAMES[device]);
  if (strangers.length === 0) return undefined;
  const count = `${strangers.length} of ${placement.length} nodes`;
  return `${count} of ${graph} run on the CPU, not on ${device}: ${listed(strangers)}`;
}
