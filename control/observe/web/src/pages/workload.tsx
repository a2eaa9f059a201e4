import { events as eventsShape, workload, type Link, type Side, type Vertex, type Windowed } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import type { Event } from '../api/records';
import { useWindow } from '../api/use';
import { HeatMap } from '../charts/heat';
import { bytesRate } from '../format/bytes';
import { count, percent, plural, rate } from '../format/number';
import { micros } from '../format/duration';
import { seen } from '../format/name';
import { Answer, NoTraffic, Unknown } from '../parts/answer';
import { Badge, HealthBadge, SecurityBadge } from '../parts/badge';
import { Filters } from '../parts/filters';
import { Incidents } from '../parts/incidents';
import { IdentityBelow, IdentityName, Name, ServiceName, WorkloadName } from '../parts/names';
import { Empty } from '../parts/notice';
import { Section } from '../parts/section';
import { Table, type Column } from '../parts/table';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { link, useAddress } from '../state/navigate';
import { ConnectionsChart, ErrorsChart, failedPart, GoldenTiles, LatencyChart, RequestsChart, ThroughputChart } from './golden';
import { seconds, useGrid } from './grid';
import { useEvents, useIncidents } from './lately';
import { Pods } from './pods';
import { PolicyTable } from './policy-table';
import type { Of } from '../api/shape';

const fields: Field[] = ['service', 'identity', 'policy', 'node', 'reporter', 'waypoint', 'failed'];

export function WorkloadPage({ namespace, name }: { namespace: string; name: string }) {
  const { query } = useAddress();
  const asked = useWindow(workload, ['workloads', namespace, name], filterOf(query, fields));
  const around = useWindow(eventsShape, ['events'], { namespace }, { whole: true });
  return (
    <>
      <Head
        title={<><span class="crumb"><a href={link(['workloads'])}>Workloads</a> / </span>{seen(`${namespace}/${name}`)}</>}
        sub={asked.data && <Sub of={asked.data.workload} />}
      >
        <a class="button" href={link(['mesh'], { workload: name, namespace })}>In the mesh</a>
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>
        {(data) => (data.pods.length + data.inbound.peers.length + data.outbound.peers.length + data.incidents.length === 0
          ? <Unknown what="workload" name={`${namespace}/${name}`} all={link(['workloads'])} />
          : <Body data={data} events={around.data?.events ?? []} namespace={namespace} name={name} />)}
      </Answer>
    </>
  );
}

type Data = Of<typeof workload>;

function Sub({ of }: { of: Data['workload'] }) {
  return (
    <>
      <HealthBadge health={of.health} />
      <span>{seen(of.kind)}</span>
      <IdentityName id={of.identity} />
      <span>{of.enrolled === of.pods ? `${plural(of.pods, 'pod')}, all enrolled` : `${of.enrolled} of ${plural(of.pods, 'pod')} enrolled`}</span>
      <span>{plural(of.nodes.length, 'node')}</span>
    </>
  );
}

function Body({ data, events, namespace, name }: { data: Data; events: readonly Event[]; namespace: string; name: string }) {
  const { query } = useAddress();
  const grid = useGrid(data);
  const shown = useEvents(events, () => false);
  const incidents = useIncidents(data.incidents, { ...filterOf(query, fields) }, ({ key }) =>
    (key.source.namespace === namespace && key.source.workload === name) ||
    (key.destination.namespace === namespace && key.destination.workload === name));
  const over = seconds(data);
  return (
    <>
      <Timeline events={shown} />
      <Half title="Inbound" note="who calls it" id="in-" of={data.inbound} {...{ data, grid, events: shown, over }} />
      <Half title="Outbound" note="whom it calls" id="out-" of={data.outbound} {...{ data, grid, events: shown, over }} />
      <Section title="Failed and refused" note={plural(incidents.length, 'incident')}>
        <Incidents id="incidents" label="Failed and refused" of={incidents} />
      </Section>
      <Section title="Policies" note={plural(data.policies.length, 'policy', 'policies')}>
        <PolicyTable id="policies" of={data.policies} empty={<Empty title="No policy applies to this workload">Everything is allowed that reaches it.</Empty>} />
      </Section>
      <Section title="Pods" note={plural(data.pods.length, 'pod')}>
        <Pods of={data.pods} />
      </Section>
    </>
  );
}

function Half({ title, note, id, of, data, grid, events, over }: {
  title: string; note: string; id: string; of: Side; data: Windowed; grid: ReturnType<typeof useGrid>; events: readonly Event[]; over: number;
}) {
  const requests = of.totals.requests > 0;
  const nothing = of.totals.opened + of.totals.requests + of.totals.failed === 0 && of.peers.length === 0;
  const charts = { id, points: of.points, grid, events };
  return (
    <Section title={title} note={note}>
      {nothing ? <NoTraffic what={`${title.toLowerCase()} traffic`} /> : (
        <>
          <GoldenTiles of={of.totals} seconds={over} label={`${title}: golden signals`} />
          <div class="charts">
            {requests && <RequestsChart {...charts} />}
            <ConnectionsChart {...charts} />
            <ErrorsChart {...charts} />
            <LatencyChart {...charts} />
            <HeatMap id={`${id}heat`} title={requests ? 'Latency, all requests' : 'Duration, all connections'} heat={of.heat} grid={grid} events={events} />
            <ThroughputChart {...charts} />
          </div>
          <Table
            id={`${id}peers`}
            label={title === 'Inbound' ? 'Callers' : 'Called'}
            columns={peers(seconds(data), title === 'Inbound')}
            rows={of.peers}
            rowKey={(peer) => [peer.from, peer.to, peer.service, peer.port, peer.protocol, peer.security, peer.identity].join('\u0000')}
            order="-rate"
            empty={null}
          />
        </>
      )}
    </Section>
  );
}

type Peer = Link & { peer: Vertex };

function peers(over: number, inbound: boolean): Column<Peer>[] {
  return [
    {
      id: 'peer', head: inbound ? 'Caller' : 'Called', value: (row) => `${row.peer.namespace}/${row.peer.name}`, grow: true,
      cell: (row) => (
        <span class="stack">
          {row.peer.kind === 'workload' ? <WorkloadName namespace={row.peer.namespace} name={row.peer.name} /> : <Name text={row.peer.name || row.peer.id} />}
          <span class="sub">{row.peer.kind && row.peer.kind !== 'workload' ? `${row.peer.kind}, ` : ''}<IdentityBelow id={row.identity} namespace={row.peer.namespace} name={row.peer.name} /></span>
        </span>
      ),
    },
    { id: 'service', head: 'Service', value: (row) => row.service, cell: (row) => <ServiceName service={row.service} port={row.port} /> },
    { id: 'protocol', head: 'Protocol', value: (row) => row.protocol, cell: (row) => <Name text={row.protocol || '–'} />, wide: true },
    { id: 'security', head: 'Security', value: (row) => row.security, cell: (row) => <SecurityBadge security={row.security} /> },
    { id: 'health', head: 'Health', value: (row) => failedPart(row.totals), cell: (row) => <HealthBadge health={row.health} /> },
    { id: 'rate', head: 'Rate', numeric: true, value: (row) => row.totals.requests || row.totals.opened, cell: ({ totals }) => <span class="num" title={totals.requests ? 'requests' : 'connections'}>{totals.requests ? `${rate(totals.requests / over)} req` : `${rate(totals.opened / over)} conn`}</span> },
    { id: 'failed', head: 'Failed', numeric: true, value: (row) => failedPart(row.totals), cell: (row) => <span class="num" title={`${count(row.totals.failed)} connections, ${count(row.totals.errors)} requests`}>{percent(failedPart(row.totals))}</span> },
    { id: 'p99', head: 'p99', numeric: true, value: (row) => row.totals.latencyP99Us || row.totals.durationP99Us, cell: (row) => <span class="num">{micros(row.totals.latencyP99Us || row.totals.durationP99Us)}</span> },
    { id: 'bytes', head: 'Bytes', numeric: true, value: (row) => row.totals.sentBytes + row.totals.receivedBytes, cell: (row) => <span class="num">{bytesRate((row.totals.sentBytes + row.totals.receivedBytes) / over)}</span> },
    {
      id: 'why', head: 'Failures', cell: (row) => (
        <span class="row wrap">
          {row.failures.slice(0, 2).map((one) => <Badge key={`${one.failure}${one.policy}`} tone={one.policy ? 'warning' : 'failing'} icon={one.policy ? 'policies' : 'failing'} text={`${one.failure} ${count(one.count)}`} title={seen(one.policy)} />)}
          {row.failures.length === 0 && <span class="none">–</span>}
        </span>
      ),
    },
  ];
}

