// The mesh as tables: the same as the graph, for whoever reads better than looks.
import type { Link, Vertex } from '../api/answers';
import type { Model } from '../graph/model';
import { bytesRate } from '../format/bytes';
import { micros } from '../format/duration';
import { party, seen } from '../format/name';
import { count, percent, plural, rate } from '../format/number';
import { Badge, HealthBadge, SecurityBadge } from '../parts/badge';
import { IdentityBelow, IdentityName, Name, ServiceName, WorkloadName } from '../parts/names';
import { Empty } from '../parts/notice';
import { Section } from '../parts/section';
import { Table, type Column } from '../parts/table';
import { failedPart } from './golden';

interface Row {
  link: Link;
  from: Vertex;
  to: Vertex;
}

const worst: Record<string, number> = { idle: 0, ok: 1, warning: 2, failing: 3 };
const none = <Empty title="Nothing matches">Change the search or remove a filter.</Empty>;

export function MeshList({ model, hits, over }: { model: Model; hits: ReadonlySet<number> | undefined; over: number }) {
  const rows = model.lines
    .filter((line) => !hits || hits.has(line.from) || hits.has(line.to))
    .flatMap((line) => line.links.map((link): Row => ({
      link, from: model.vertices[line.from] as Vertex, to: model.vertices[line.to] as Vertex,
    })));
  const vertices = model.vertices.filter((_, i) => !hits || hits.has(i));
  return (
    <>
      <Section title="Edges" note={plural(rows.length, 'edge')}>
        <Table
          id=""
          label="Edges"
          columns={columns(over)}
          rows={rows}
          rowKey={({ link }) => [link.from, link.to, link.service, link.port, link.protocol, link.security, link.identity].join('\u0000')}
          order="-health"
          empty={none}
        />
      </Section>
      <Section title="Vertices" note={plural(vertices.length, 'vertex', 'vertices')}>
        <Table id="vertices" label="Vertices" columns={vertexColumns} rows={vertices} rowKey={(vertex) => vertex.id} order="-health" empty={none} />
      </Section>
    </>
  );
}

function VertexName({ of }: { of: Vertex }) {
  if (of.kind === 'workload') return <WorkloadName namespace={of.namespace} name={of.name} />;
  return <Name text={party(of.kind === 'namespace' ? '' : of.namespace, of.name || of.id)} />;
}

function columns(over: number): Column<Row>[] {
  return [
    { id: 'from', head: 'From', value: ({ from }) => party(from.namespace, from.name), cell: ({ from, link }) => <span class="stack"><VertexName of={from} /><span class="sub"><IdentityBelow id={link.identity} namespace={from.namespace} name={from.name} /></span></span> },
    { id: 'to', head: 'To', value: ({ to }) => party(to.namespace, to.name), cell: ({ to, link }) => <span class="stack"><VertexName of={to} /><span class="sub"><ServiceName service={link.service} port={link.port} /></span></span> },
    { id: 'health', head: 'Health', value: ({ link }) => (worst[link.health] ?? 0) + failedPart(link.totals), cell: ({ link }) => <HealthBadge health={link.health} /> },
    { id: 'security', head: 'Security', value: ({ link }) => link.security, cell: ({ link }) => <SecurityBadge security={link.security} /> },
    { id: 'protocol', head: 'Protocol', value: ({ link }) => link.protocol, cell: ({ link }) => <Name text={link.protocol || '–'} />, wide: true },
    { id: 'connections', head: 'Connections', numeric: true, value: ({ link }) => link.totals.opened, cell: ({ link }) => <span class="num">{rate(link.totals.opened / over)}</span> },
    { id: 'requests', head: 'Requests', numeric: true, value: ({ link }) => link.totals.requests, cell: ({ link }) => <span class="num">{link.totals.requests ? rate(link.totals.requests / over) : '–'}</span> },
    { id: 'failed', head: 'Failed', numeric: true, value: ({ link }) => failedPart(link.totals), cell: ({ link }) => <span class="num">{percent(failedPart(link.totals))}</span> },
    { id: 'p99', head: 'p99', numeric: true, value: ({ link }) => link.totals.latencyP99Us || link.totals.durationP99Us, cell: ({ link }) => <span class="num">{micros(link.totals.latencyP99Us || link.totals.durationP99Us)}</span> },
    { id: 'bytes', head: 'Bytes', numeric: true, value: ({ link }) => link.totals.sentBytes + link.totals.receivedBytes, cell: ({ link }) => <span class="num">{bytesRate((link.totals.sentBytes + link.totals.receivedBytes) / over)}</span> },
    {
      id: 'why', head: 'Failures', cell: ({ link }) => (
        <span class="row wrap">
          {link.failures.slice(0, 3).map((one) => <Badge key={`${one.failure} ${one.policy}`} tone={one.policy ? 'warning' : 'failing'} icon={one.policy ? 'policies' : 'failing'} text={`${one.failure} ${count(one.count)}`} title={seen(one.policy)} />)}
          {link.failures.length === 0 && <span class="none">–</span>}
        </span>
      ),
    },
  ];
}

const vertexColumns: Column<Vertex>[] = [
  { id: 'name', head: 'Name', value: (vertex) => party(vertex.namespace, vertex.name), cell: (vertex) => <VertexName of={vertex} />, grow: true },
  { id: 'kind', head: 'Kind', value: (vertex) => vertex.kind, cell: (vertex) => <Name text={vertex.kind || '–'} /> },
  { id: 'health', head: 'Health', value: (vertex) => worst[vertex.health] ?? 0, cell: (vertex) => <HealthBadge health={vertex.health} /> },
  { id: 'identity', head: 'Identity', value: (vertex) => vertex.identity, cell: (vertex) => <IdentityName id={vertex.identity} /> },
  { id: 'pods', head: 'Pods, enrolled', numeric: true, value: (vertex) => vertex.pods, cell: (vertex) => <span class="num">{vertex.pods ? `${count(vertex.pods)}, ${count(vertex.enrolled)}` : '–'}</span> },
  { id: 'nodes', head: 'Nodes', cell: (vertex) => <Name text={vertex.nodes.join(', ') || '–'} />, wide: true },
];
