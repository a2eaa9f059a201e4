import { workloads, type WorkloadRow } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import { useWindow } from '../api/use';
import { bytesRate } from '../format/bytes';
import { micros } from '../format/duration';
import { count, percent, rate } from '../format/number';
import { Answer, NoTraffic } from '../parts/answer';
import { HealthBadge } from '../parts/badge';
import { Filters, Search } from '../parts/filters';
import { IdentityBelow, Name, WorkloadName } from '../parts/names';
import { containing } from '../parts/order';
import { Table, type Column } from '../parts/table';
import { Head } from '../shell';
import { useAddress } from '../state/navigate';
import { failedPart } from './golden';
import { seconds } from './grid';

const fields: Field[] = ['namespace', 'workload', 'service', 'identity', 'policy', 'node', 'waypoint', 'failed'];
const worst: Record<string, number> = { idle: 0, ok: 1, warning: 2, failing: 3 };

export function Workloads() {
  const { query } = useAddress();
  const asked = useWindow(workloads, ['workloads'], filterOf(query, fields), { whole: true });
  return (
    <>
      <Head title="Workloads" sub={asked.data && `${count(asked.data.workloads.length)} in this window`}>
        <Search label="Name, identity or node" />
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>
        {(data) => (
          <Table
            id=""
            label="Workloads"
            columns={columns(seconds(data))}
            rows={containing(data.workloads, query['q'] ?? '', (row) => [row.namespace, row.name, row.identity, ...row.nodes])}
            rowKey={(row) => `${row.namespace}/${row.name}/${row.kind}`}
            order="-failed"
            empty={<NoTraffic what="workload" />}
          />
        )}
      </Answer>
    </>
  );
}

function columns(over: number): Column<WorkloadRow>[] {
  return [
    {
      id: 'name', head: 'Workload', value: (row) => `${row.namespace}/${row.name}`, grow: true,
      cell: (row) => (
        <span class="stack">
          <WorkloadName namespace={row.namespace} name={row.name} />
          <span class="sub"><IdentityBelow id={row.identity} namespace={row.namespace} name={row.name} /></span>
        </span>
      ),
    },
    { id: 'kind', head: 'Kind', value: (row) => row.kind, cell: (row) => <Name text={row.kind || '–'} />, wide: true },
    { id: 'health', head: 'Health', value: (row) => worst[row.health] ?? 0, cell: (row) => <HealthBadge health={row.health} /> },
    { id: 'pods', head: 'Pods', numeric: true, value: (row) => row.pods, cell: (row) => <span class="num" title={`${row.enrolled} of ${row.pods} enrolled`}>{row.enrolled === row.pods ? count(row.pods) : `${count(row.enrolled)}/${count(row.pods)}`}</span>, wide: true },
    { id: 'in', head: 'In, conn.', numeric: true, value: (row) => row.inbound.opened, cell: (row) => <span class="num">{rate(row.inbound.opened / over)}</span> },
    { id: 'requests', head: 'In, requests', numeric: true, value: (row) => row.inbound.requests, cell: (row) => <span class="num">{row.inbound.requests ? rate(row.inbound.requests / over) : '–'}</span> },
    { id: 'failed', head: 'In, failed', numeric: true, value: (row) => failedPart(row.inbound), cell: (row) => <span class="num">{percent(failedPart(row.inbound))}</span> },
    { id: 'latency', head: 'In, p99', numeric: true, value: (row) => row.inbound.latencyP99Us || row.inbound.durationP99Us, cell: (row) => <span class="num">{micros(row.inbound.latencyP99Us || row.inbound.durationP99Us)}</span>, wide: true },
    { id: 'bytes', head: 'In, bytes', numeric: true, value: (row) => row.inbound.sentBytes + row.inbound.receivedBytes, cell: (row) => <span class="num">{bytesRate((row.inbound.sentBytes + row.inbound.receivedBytes) / over)}</span>, wide: true },
    { id: 'out', head: 'Out, conn.', numeric: true, value: (row) => row.outbound.opened, cell: (row) => <span class="num">{rate(row.outbound.opened / over)}</span> },
    { id: 'outfailed', head: 'Out, failed', numeric: true, value: (row) => failedPart(row.outbound), cell: (row) => <span class="num">{percent(failedPart(row.outbound))}</span> },
  ];
}
