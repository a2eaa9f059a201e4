import type { Pod } from '../api/records';
import { seen } from '../format/name';
import { Badge } from '../parts/badge';
import { Ago } from '../parts/moment';
import { IdentityName, Name, NodeName, WorkloadName } from '../parts/names';
import { Empty } from '../parts/notice';
import { Table, type Column } from '../parts/table';

/** Pods as they stand now, with the proof of their enrolment. */
export function Pods({ of }: { of: readonly Pod[] }) {
  return (
    <Table
      id="pods"
      label="Pods"
      columns={columns}
      rows={of}
      rowKey={(pod) => `${pod.node}/${pod.namespace}/${pod.name}`}
      order="name"
      empty={<Empty title="No enrolled pod">Enrol a namespace: <code>ambit enroll NAMESPACE</code></Empty>}
    />
  );
}

const columns: Column<Pod>[] = [
  { id: 'name', head: 'Pod', value: (pod) => `${pod.namespace}/${pod.name}`, cell: (pod) => <Name text={`${pod.namespace}/${pod.name}`} />, grow: true },
  { id: 'workload', head: 'Workload', value: (pod) => `${pod.namespace}/${pod.workload}`, cell: (pod) => <WorkloadName namespace={pod.namespace} name={pod.workload} /> },
  { id: 'node', head: 'Node', value: (pod) => pod.node, cell: (pod) => <NodeName name={pod.node} /> },
  { id: 'identity', head: 'Identity', value: (pod) => pod.identity, cell: (pod) => <IdentityName id={pod.identity} /> },
  { id: 'addresses', head: 'Addresses', cell: (pod) => <span class="num">{seen(pod.addresses.join(' '))}</span>, wide: true },
  {
    id: 'state', head: 'State', value: (pod) => pod.state,
    cell: (pod) => <Badge tone={pod.state === 'enrolled' ? 'ok' : 'warning'} text={pod.state || 'unknown'} />,
  },
  {
    id: 'proof', head: 'Proof', value: (pod) => pod.proof,
    cell: (pod) => (pod.proof
      ? <span class="row"><Badge tone={proofTone(pod.proof)} text={pod.proof} />{pod.provedMs > 0 && <Ago ms={pod.provedMs} />}</span>
      : <span class="none" title="Nobody proves on this node that traffic of its pods is captured">not proved</span>),
  },
];

function proofTone(proof: string): 'ok' | 'warning' {
  return /^(proved|proven|ok|captured)/.test(proof) ? 'ok' : 'warning';
}
