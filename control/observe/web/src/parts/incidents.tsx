import type { Incident } from '../api/records';
import { incidentKey } from '../api/merge';
import { bytes } from '../format/bytes';
import { micros } from '../format/duration';
import { party, seen } from '../format/name';
import { Around } from './around';
import { Badge } from './badge';
import { Facts } from './facts';
import { Moment } from './moment';
import { IdentityName, Name, NodeName, PolicyName, ServiceName, WorkloadName } from './names';
import { Empty } from './notice';
import { Table, type Column } from './table';

/** What failed or was refused, one by one. */
export function Incidents({ id, label, of, empty, page }: {
  id: string; label: string; of: readonly Incident[]; empty?: string; page?: number;
}) {
  return (
    <Table
      id={id}
      label={label}
      columns={columns}
      rows={of}
      rowKey={incidentKey}
      order="-at"
      {...(page ? { page } : {})}
      more={(one) => <Detail of={one} />}
      empty={<Empty title={empty ?? 'Nothing failed or was refused in this window'}>To look further back, widen the window.</Empty>}
    />
  );
}

const columns: Column<Incident>[] = [
  { id: 'at', head: 'Time', value: (one) => one.atMs, cell: (one) => <Moment ms={one.atMs} /> },
  {
    id: 'source', head: 'From', value: (one) => party(one.key.source.namespace, one.key.source.workload),
    cell: ({ key, sourceAddress }) => (
      <span class="stack">
        {key.source.workload
          ? <WorkloadName namespace={key.source.namespace} name={key.source.workload} />
          : <Name text={sourceAddress || 'unknown'} />}
        <span class="sub"><IdentityName id={key.source.identity} /></span>
      </span>
    ),
  },
  {
    id: 'destination', head: 'To', value: (one) => party(one.key.destination.namespace, one.key.destination.workload),
    cell: ({ key, destinationAddress }) => (
      <span class="stack">
        {key.destination.workload
          ? <WorkloadName namespace={key.destination.namespace} name={key.destination.workload} />
          : <Name text={destinationAddress || 'unknown'} />}
        <span class="sub"><ServiceName service={key.service} port={key.port} /></span>
      </span>
    ),
  },
  {
    id: 'failure', head: 'Failure', value: (one) => one.key.failure,
    cell: ({ key, status }) => (
      <Badge tone={key.policy ? 'warning' : 'failing'} text={key.failure || (status ? String(status) : 'failed')} icon={key.policy ? 'policies' : 'failing'} />
    ),
  },
  { id: 'policy', head: 'Policy', value: (one) => one.key.policy, cell: (one) => <PolicyName name={one.key.policy} /> },
  { id: 'hop', head: 'Hop', value: (one) => one.hop, cell: (one) => <Name text={one.hop || '–'} />, wide: true },
  { id: 'error', head: 'Reason', cell: (one) => <Name text={one.error || '–'} />, grow: true },
  { id: 'around', head: 'Around', silent: true, cell: (one) => <Around ms={one.atMs} /> },
];

function Detail({ of: one }: { of: Incident }) {
  const { key } = one;
  const request = one.method ? `${one.method} ${one.authority}${one.path}` : '';
  return (
    <Facts
      of={[
        ['Reason', seen(one.error)],
        ['Hop', seen(one.hop)],
        ['Source identity', key.source.identity ? seen(key.source.identity) : 'not proved'],
        ['Source', seen([one.sourcePod, one.sourceAddress].filter(Boolean).join(' at '))],
        ['Destination identity', seen(key.destination.identity)],
        ['Destination', seen([one.destinationPod, one.destinationAddress].filter(Boolean).join(' at '))],
        ['Service', key.service ? seen(`${key.service}:${key.port}`) : ''],
        ['Protocol', seen([key.protocol, key.security].filter(Boolean).join(', '))],
        ['Policy', key.policy ? <PolicyName name={key.policy} /> : ''],
        ['Request', seen(request)],
        ['Status', one.status || ''],
        ['Request ID', seen(one.requestId)],
        ['Waypoint', seen([key.waypoint, key.route, key.rule, key.backend].filter(Boolean).join(' › '))],
        ['Took', one.durationUs ? micros(one.durationUs) : ''],
        ['Bytes', one.sentBytes + one.receivedBytes ? `${bytes(one.sentBytes)} sent, ${bytes(one.receivedBytes)} received` : ''],
        ['Seen by', one.node ? <span>{seen(key.reporter)} on <NodeName name={one.node} /></span> : seen(key.reporter)],
      ]}
    />
  );
}
