// What is not as it should be on a node. Pure.
import type { NodeCard } from '../api/answers';
import { plural } from '../format/number';

/** Short sentences for whoever looks at the card. */
export function troubles(node: NodeCard): string[] {
  const found: string[] = [];
  if (!node.connectedMs) found.push('not connected to control');
  if (node.proven < node.enrolled) found.push(`${plural(node.enrolled - node.proven, 'pod')} without proof`);
  if (node.edgeLimit > 0 && node.edges >= node.edgeLimit) found.push('edges beyond the limit are folded');
  return found;
}
