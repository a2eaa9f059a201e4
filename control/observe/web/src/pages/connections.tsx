import type { Connection } from '../api/records';
import { second } from '../api/now';
import { bytes, bytesRate } from '../format/bytes';
import { span } from '../format/duration';
import { SecurityBadge } from '../parts/badge';
import { Name, IdentityName, ServiceName, WorkloadName } from '../parts/names';
import { Empty } from '../parts/notice';
import { Table, type Column } from '../parts/table';
import { useStore } from '../state/store';

/** Open connections, the busiest first. */
export function Connections({ of }: { of: readonly Connection[] }) {
  return (
    <Table
      id="connections"
      label="Open connections"
      columns={columns}
      rows={of}
      rowKey={(one) => `${one.node} ${one.id} ${one.key.reporter}`}
      order="-rate"
      empty={<Empty title="No connection is open now">They are shown while they last; what has ended is in the charts.</Empty>}
    />
  );
}

const columns: Column<Connection>[] = [
  {
    id: 'source', head: 'From', value: (one) => `${one.key.source.namespace}/${one.key.source.workload}`,
    cell: ({ key, sourceAddress }) => (
      <span class="stack">
        {key.source.workload ? <WorkloadName namespace={key.source.namespace} name={key.source.workload} /> : <Name text={sourceAddress} />}
        <span class="sub"><IdentityName id={key.source.identity} /></span>
      </span>
    ),
  },
  {
    id: 'destination', head: 'To', value: (one) => `${one.key.destination.namespace}/${one.key.destination.workload}`,
    cell: ({ key, destinationAddress }) => (
      <span class="stack">
        {key.destination.workload ? <WorkloadName namespace={key.destination.namespace} name={key.destination.workload} /> : <Name text={destinationAddress} />}
        <span class="sub"><ServiceName service={key.service} port={key.port} /></span>
      </span>
    ),
  },
  { id: 'security', head: 'Security', value: (one) => one.key.security, cell: (one) => <SecurityBadge security={one.key.security} /> },
  { id: 'reporter', head: 'Seen as', value: (one) => one.key.reporter, cell: (one) => <Name text={one.key.reporter || '–'} />, wide: true },
  { id: 'age', head: 'Age', numeric: true, value: (one) => -one.beganMs, cell: (one) => <Age ms={one.beganMs} /> },
  { id: 'rate', head: 'Rate', numeric: true, value: (one) => one.sentRate + one.receivedRate, cell: (one) => <span class="num">{bytesRate(one.sentRate + one.receivedRate)}</span> },
  { id: 'sent', head: 'Sent', numeric: true, value: (one) => one.sentBytes, cell: (one) => <span class="num">{bytes(one.sentBytes)}</span> },
  { id: 'received', head: 'Received', numeric: true, value: (one) => one.receivedBytes, cell: (one) => <span class="num">{bytes(one.receivedBytes)}</span> },
];

function Age({ ms }: { ms: number }) {
  return <span class="num">{span(useStore(second) - ms)}</span>;
}
