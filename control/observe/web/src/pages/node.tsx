import { useMemo } from 'preact/hooks';
import { node as nodeShape, type NodePoint, type Process } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import { second } from '../api/now';
import type { Event } from '../api/records';
import type { Of } from '../api/shape';
import { useWindow } from '../api/use';
import { Chart, type Line } from '../charts/chart';
import { byStep, rates, type Grid } from '../charts/series';
import { units, type Unit } from '../charts/unit';
import { bytes } from '../format/bytes';
import { relative } from '../format/duration';
import { seen } from '../format/name';
import { count, percent, plural, rate, significant } from '../format/number';
import { moment } from '../format/time';
import { Answer, Unknown } from '../parts/answer';
import { Badge } from '../parts/badge';
import { Events } from '../parts/events';
import { Filters } from '../parts/filters';
import { Incidents } from '../parts/incidents';
import { Section } from '../parts/section';
import { Tile, Tiles } from '../parts/tile';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { link, useAddress } from '../state/navigate';
import { useStore } from '../state/store';
import { Connections } from './connections';
import { ConnectionsChart, LatencyChart, RequestsChart, ThroughputChart, useLines } from './golden';
import { useGrid } from './grid';
import { useEvents, useIncidents } from './lately';
import { Pods } from './pods';
import { troubles } from './troubles';

const fields: Field[] = ['namespace', 'workload', 'service', 'identity', 'policy', 'reporter', 'failed'];
type Data = Of<typeof nodeShape>;

export function NodePage({ name }: { name: string }) {
  const { query } = useAddress();
  const asked = useWindow(nodeShape, ['nodes', name], filterOf(query, fields));
  return (
    <>
      <Head title={<><span class="crumb"><a href={link(['nodes'])}>Nodes</a> / </span>{seen(name)}</>} sub={asked.data && <Sub of={asked.data.node} />}>
        <a class="button" href={link(['mesh'], { node: name })}>In the mesh</a>
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>{(data) => (data.node.name || data.processes.length + data.pods.length > 0
        ? <Body data={data} name={name} />
        : <Unknown what="node" name={name} all={link(['nodes'])} />)}</Answer>
    </>
  );
}

function Sub({ of }: { of: Data['node'] }) {
  const at = useStore(second);
  return (
    <>
      {of.ready ? <Badge tone="ok" text="ready" /> : <Badge tone="failing" text="not ready" />}
      {of.connectedMs > 0 && <span>connected to control since {moment(of.connectedMs, at)}</span>}
      {of.version && <span>{seen(of.version)}</span>}
      {troubles(of).map((text) => <Badge key={text} tone="warning" text={text} />)}
    </>
  );
}

function Body({ data, name }: { data: Data; name: string }) {
  const { query } = useAddress();
  const at = useStore(second);
  const grid = useGrid(data);
  const events = useEvents(data.events, (one) => one.node === name);
  const incidents = useIncidents(data.incidents, { ...filterOf(query, fields), node: name });
  const { node } = data;
  const { points } = node;
  const requests = points.some((point) => point.requests > 0);
  const charts = { id: '', points, grid, events };
  return (
    <>
      <Timeline events={events} />
      <Tiles label="The node now">
        <Tile label="Enrolled pods" value={count(node.enrolled)} note={`${count(node.proven)} proven, of ${count(node.pods)}`} {...(node.proven < node.enrolled ? { tone: 'warning' as const } : {})} />
        <Tile label="Open connections" value={count(node.connections)} note={`${count(node.totals.opened)} opened in the window`} />
        <Tile label="Failed" value={count(node.totals.failed)} note={percent(node.totals.failed / Math.max(1, node.totals.opened, node.totals.failed))} {...(node.totals.failed ? { tone: 'warning' as const } : {})} />
        <Tile label="Refused" value={count(node.totals.refused)} note="by policy" {...(node.totals.refused ? { tone: 'warning' as const } : {})} />
        <Tile label="Handshakes" value={rate(node.handshakesPerSecond)} note="TLS, accepted" />
        <Tile label="Proxy CPU" value={`${significant(node.cpuPercent)} %`} note="of one core" />
        <Tile label="Proxy memory" value={bytes(node.residentBytes)} note={plural(node.descriptors, 'descriptor')} />
        <Tile label="Certificates" value={count(node.certificates)} note={node.nextExpiryMs ? `first expires ${relative(node.nextExpiryMs, at)}` : 'none expires'} />
        <Tile label="Remembered" value={plural(node.edges, 'edge')} note={`${node.edgeLimit ? `of ${count(node.edgeLimit)}, ` : ''}${bytes(node.diskBytes)} on disk`} />
      </Tiles>
      <div class="charts">
        <ConnectionsChart {...charts} />
        <ThroughputChart {...charts} />
        {requests && <RequestsChart {...charts} />}
        <LatencyChart {...charts} />
        <Handshakes points={points} grid={grid} events={events} />
        <Costs id="open" title="Open connections" unit={units.count} value={(p) => p.connections} {...{ data, grid, events }} />
        <Costs id="cpu" title="Proxy CPU" unit={units.cpu} value={(p) => p.cpuPercent} {...{ data, grid, events }} />
        <Costs id="memory" title="Proxy memory" unit={units.bytes} value={(p) => p.residentBytes} {...{ data, grid, events }} />
        <Costs id="descriptors" title="Descriptors" unit={units.count} value={(p) => p.descriptors} {...{ data, grid, events }} />
      </div>
      <Section title="Failed and refused" note={plural(incidents.length, 'incident')}>
        <Incidents id="incidents" label="Failed and refused" of={incidents} />
      </Section>
      <Section title="Busiest connections" note="open now">
        <Connections of={data.connections} />
      </Section>
      <Section title="Pods" note={plural(data.pods.length, 'pod')}><Pods of={data.pods} /></Section>
      <Section title="Events" note={plural(events.length, 'event')}><Events id="events" label="Events" of={events} /></Section>
    </>
  );
}

function Handshakes({ points, grid, events }: { points: readonly NodePoint[]; grid: Grid; events: readonly Event[] }) {
  const lines = useLines(() => [
    { label: 'handshakes', tint: '--series-1', values: rates(grid, points, (p) => p.handshakes), fill: true },
    { label: 'failed', tint: '--failing', values: rates(grid, points, (p) => p.handshakeFailures), dash: [6, 3] },
  ], [points, grid]);
  return <Chart id="handshakes" title="TLS handshakes" unit={units.handshakes} lines={lines} grid={grid} events={events} />;
}

type Cost = Process['points'][number];
const tints = ['--series-1', '--series-2', '--series-3', '--series-4', '--series-5', '--series-6'];
const dashes: number[][] = [[], [6, 3], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3]];

/** What each proxy of the node cost. */
function Costs({ id, title, unit, value, data, grid, events }: {
  id: string; title: string; unit: Unit; value: (point: Cost) => number; data: Data; grid: Grid; events: readonly Event[];
}) {
  const lines = useMemo((): Line[] => {
    const of = data.processes.length > 0 ? data.processes : [{ kind: 'proxies', name: '', points: data.node.points }];
    return of.slice(0, tints.length).map((process, i): Line => ({
      label: seen(process.kind === 'ztunnel' || !process.name ? process.kind : process.name),
      tint: tints[i] as string,
      values: byStep(grid, process.points, value, null),
      ...(dashes[i]?.length ? { dash: dashes[i] } : {}),
    }));
  }, [data, grid]);
  return <Chart id={id} title={title} unit={unit} lines={lines} grid={grid} events={events} />;
}
