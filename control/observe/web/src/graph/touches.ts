// Which incidents belong to what is chosen in a mesh. Pure.
import type { Vertex } from '../api/answers';
import type { EdgeKey } from '../api/records';

/** Whether a vertex is the source, or the destination, of what `key` says. */
export function isEnd(vertex: Vertex, key: EdgeKey, end: 'source' | 'destination'): boolean {
  const { namespace, workload } = key[end];
  switch (vertex.kind) {
    case 'workload':
      return vertex.namespace === namespace && vertex.name === workload;
    case 'namespace':
      return (vertex.namespace || vertex.name) === namespace;
    case 'service':
      // A service is called; as a caller it stands for the workload of its name.
      return end === 'source'
        ? vertex.namespace === namespace && vertex.name === workload
        : key.service === `${vertex.namespace}/${vertex.name}` || key.service.startsWith(`${vertex.namespace}/${vertex.name}.`);
    case 'waypoint':
      return key.waypoint === `${vertex.namespace}/${vertex.name}`;
    default:
      return workload === '';
  }
}
