import { events as eventsShape, nodes, type NodeCard } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import { second } from '../api/now';
import type { Of } from '../api/shape';
import { byStep, rates, type Grid } from '../charts/series';
import { useWindow } from '../api/use';
import { bytes, bytesRate } from '../format/bytes';
import { relative } from '../format/duration';
import { seen } from '../format/name';
import { count, percent, plural, rate, significant } from '../format/number';
import { Answer, NoTraffic } from '../parts/answer';
import { Badge } from '../parts/badge';
import { Choose, Filters, Search } from '../parts/filters';
import { NodeName } from '../parts/names';
import { containing, parseOrder, sorted } from '../parts/order';
import { Spark } from '../parts/spark';
import { Table, type Column } from '../parts/table';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { change, link, useAddress } from '../state/navigate';
import { useStore } from '../state/store';
import { seconds, useGrid } from './grid';
import { useEvents } from './lately';
import { troubles } from './troubles';

const fields: Field[] = ['node', 'namespace'];

export function Nodes() {
  const { query } = useAddress();
  const asked = useWindow(nodes, ['nodes'], filterOf(query, fields));
  const around = useWindow(eventsShape, ['events'], {}, { whole: true });
  return (
    <>
      <Head title="Nodes" sub={asked.data && `${count(asked.data.nodes.length)} with an Ambit proxy`}>
        <Search label="Name or version" />
        <Choose label="Form" name="form" otherwise="cards" options={[['cards', 'Cards'], ['table', 'Table']]} />
        {query['form'] !== 'table' && <Order />}
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>
        {(data) => {
          const rows = containing(data.nodes, query['q'] ?? '', (node) => [node.name, node.version, ...node.waypoints]);
          return (
            <>
              <NodeEvents of={around.data?.events ?? []} />
              {rows.length === 0 ? <NoTraffic what="node" /> : query['form'] === 'table' ? (
                <Table id="" label="Nodes" columns={columns(seconds(data))} rows={rows} rowKey={(node) => node.name} order="name" empty={null} />
              ) : <Cards data={data} rows={rows} />}
            </>
          );
        }}
      </Answer>
    </>
  );
}

function NodeEvents({ of }: { of: Of<typeof eventsShape>['events'] }) {
  return <Timeline events={useEvents(of)} />;
}

const orders: Record<string, [string, (node: NodeCard) => number | string]> = {
  name: ['Name', (node) => node.name],
  '-trouble': ['Trouble first', (node) => troubles(node).length],
  '-refused': ['Refusals', (node) => node.totals.refused],
  '-connections': ['Connections', (node) => node.connections],
  '-bytes': ['Throughput', (node) => node.totals.sentBytes + node.totals.receivedBytes],
  '-cpu': ['CPU', (node) => node.cpuPercent],
  '-memory': ['Memory', (node) => node.residentBytes],
};

function Order() {
  const { query } = useAddress();
  return (
    <label class="row">
      Order
      <select value={query['sort'] || 'name'} onChange={(picked) => change({ sort: picked.currentTarget.value === 'name' ? undefined : picked.currentTarget.value })}>
        {Object.entries(orders).map(([value, [text]]) => <option key={value} value={value}>{text}</option>)}
      </select>
    </label>
  );
}

function Cards({ data, rows }: { data: Of<typeof nodes>; rows: readonly NodeCard[] }) {
  const { query } = useAddress();
  const { column, falling } = parseOrder(query['sort'] ?? '', Object.keys(orders).map((key) => key.replace('-', '')), 'name');
  const value = orders[(falling ? '-' : '') + column]?.[1] ?? ((node: NodeCard) => node.name);
  const over = seconds(data);
  const grid = useGrid(data);
  return (
    <ul class="cards">
      {sorted(sorted(rows, (node) => node.name, false), value, falling).map((node) => <Card key={node.name} of={node} over={over} grid={grid} />)}
    </ul>
  );
}

function Card({ of, over, grid }: { of: NodeCard; over: number; grid: Grid }) {
  const at = useStore(second);
  const wrong = troubles(of);
  return (
    <li class="card" data-row>
      <header>
        <h2><a class="name" href={link(['nodes', of.name])} title={seen(of.name)}>{seen(of.name)}</a></h2>
        {of.ready ? <Badge tone="ok" text="ready" /> : <Badge tone="failing" text="not ready" />}
      </header>
      {wrong.length > 0 && <ul class="plain troubles">{wrong.map((text) => <li key={text}><Badge tone="warning" text={text} /></li>)}</ul>}
      <dl class="card-facts">
        <Fact name="Throughput" value={bytesRate((of.totals.sentBytes + of.totals.receivedBytes) / over)} spark={rates(grid, of.points, (p) => p.sentBytes + p.receivedBytes)} />
        <Fact name="Connections" value={`${count(of.connections)} open`} spark={byStep(grid, of.points, (p) => p.connections, null)} />
        <Fact name="Handshakes" value={rate(of.handshakesPerSecond)} spark={rates(grid, of.points, (p) => p.handshakes)} />
        <Fact name="Refusals" value={count(of.totals.refused)} spark={rates(grid, of.points, (p) => p.refused)} tone="warning" />
        <Fact name="CPU" value={`${significant(of.cpuPercent)} %`} spark={byStep(grid, of.points, (p) => p.cpuPercent, null)} tone="other" />
        <Fact name="Memory" value={bytes(of.residentBytes)} spark={byStep(grid, of.points, (p) => p.residentBytes, null)} tone="other" />
      </dl>
      <footer>
        <span title={`${count(of.proven)} of ${count(of.enrolled)} enrolled pods have proved that their traffic is captured`}>
          {plural(of.enrolled, 'pod')} enrolled, {count(of.proven)} proven
        </span>
        <span>{plural(of.certificates, 'certificate')}{of.nextExpiryMs > 0 && `, first expires ${relative(of.nextExpiryMs, at)}`}</span>
        {of.waypoints.length > 0 && <span class="name">waypoints {seen(of.waypoints.join(', '))}</span>}
      </footer>
    </li>
  );
}

function Fact({ name, value, spark, tone }: { name: string; value: string; spark: (number | null)[]; tone?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{value}</dd>
      <dd aria-hidden="true"><Spark values={spark} {...(tone ? { tone } : {})} /></dd>
    </div>
  );
}

function columns(over: number): Column<NodeCard>[] {
  return [
    { id: 'name', head: 'Node', value: (node) => node.name, cell: (node) => <NodeName name={node.name} />, grow: true },
    {
      id: 'ready', head: 'State', value: (node) => troubles(node).length + (node.ready ? 0 : 100),
      cell: (node) => (
        <span class="row">
          {node.ready ? <Badge tone="ok" text="ready" /> : <Badge tone="failing" text="not ready" />}
          {troubles(node).length > 0 && <Badge tone="warning" text={String(troubles(node).length)} title={troubles(node).join('; ')} />}
        </span>
      ),
    },
    { id: 'enrolled', head: 'Pods, proven', numeric: true, value: (node) => node.enrolled, cell: (node) => <span class="num">{count(node.enrolled)}, {count(node.proven)}</span> },
    { id: 'connections', head: 'Open', numeric: true, value: (node) => node.connections, cell: (node) => <span class="num">{count(node.connections)}</span> },
    { id: 'bytes', head: 'Throughput', numeric: true, value: (node) => node.totals.sentBytes + node.totals.receivedBytes, cell: (node) => <span class="num">{bytesRate((node.totals.sentBytes + node.totals.receivedBytes) / over)}</span> },
    { id: 'handshakes', head: 'Handshakes', numeric: true, value: (node) => node.handshakesPerSecond, cell: (node) => <span class="num">{rate(node.handshakesPerSecond)}</span>, wide: true },
    { id: 'refused', head: 'Refused', numeric: true, value: (node) => node.totals.refused, cell: (node) => <span class="num">{count(node.totals.refused)}</span> },
    { id: 'failed', head: 'Failed', numeric: true, value: (node) => node.totals.failed, cell: (node) => <span class="num" title={percent(node.totals.failed / Math.max(1, node.totals.opened))}>{count(node.totals.failed)}</span> },
    { id: 'cpu', head: 'CPU', numeric: true, value: (node) => node.cpuPercent, cell: (node) => <span class="num">{significant(node.cpuPercent)} %</span> },
    { id: 'memory', head: 'Memory', numeric: true, value: (node) => node.residentBytes, cell: (node) => <span class="num">{bytes(node.residentBytes)}</span> },
    { id: 'version', head: 'Version', value: (node) => node.version, cell: (node) => <span>{seen(node.version) || '–'}</span>, wide: true },
  ];
}
