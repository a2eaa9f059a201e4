import { events as eventsShape, waypoints, type RouteRow, type WaypointRow } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import type { Event } from '../api/records';
import type { Of } from '../api/shape';
import { useWindow } from '../api/use';
import { seen, shortService } from '../format/name';
import { count, plural } from '../format/number';
import { Answer } from '../parts/answer';
import { Badge } from '../parts/badge';
import { Filters, Search } from '../parts/filters';
import { Name, NodeName } from '../parts/names';
import { Empty } from '../parts/notice';
import { containing } from '../parts/order';
import { Section } from '../parts/section';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { link, useAddress } from '../state/navigate';
import { GoldenTiles, LatencyChart, RequestsChart } from './golden';
import { seconds, useGrid } from './grid';
import { useEvents } from './lately';
import { Route } from './split';

const fields: Field[] = ['namespace', 'waypoint', 'service', 'identity'];

export function Waypoints() {
  const { query } = useAddress();
  const asked = useWindow(waypoints, ['waypoints'], filterOf(query, fields));
  const around = useWindow(eventsShape, ['events'], {}, { whole: true });
  return (
    <>
      <Head title="Waypoints" sub={asked.data && `${plural(asked.data.waypoints.length, 'waypoint')}`}>
        <Search label="Name, route or service" />
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>{(data) => <Body data={data} events={around.data?.events ?? []} />}</Answer>
    </>
  );
}

function Body({ data, events }: { data: Of<typeof waypoints>; events: readonly Event[] }) {
  const { query } = useAddress();
  const shown = useEvents(events);
  const rows = containing(data.waypoints, query['q'] ?? '', (row) => [
    row.namespace, row.name, ...row.routes.flatMap((route) => [route.name, ...route.services]),
  ]);
  if (rows.length === 0) {
    return (
      <Empty title={data.waypoints.length ? 'No waypoint matches' : 'No waypoint'}>
        {data.waypoints.length ? 'Change the search or the filters.' : <>Routes, retries and policies for requests need one: <code>ambit waypoint apply --namespace NAMESPACE</code></>}
      </Empty>
    );
  }
  return (
    <>
      <Timeline events={shown} />
      {rows.map((row) => <Waypoint key={`${row.namespace}/${row.name}`} of={row} data={data} events={shown} />)}
    </>
  );
}

function Waypoint({ of, data, events }: { of: WaypointRow; data: Of<typeof waypoints>; events: readonly Event[] }) {
  const grid = useGrid(data);
  const name = `${of.namespace}/${of.name}`;
  const charts = { id: `${of.namespace}.${of.name}-`, points: of.points, grid, events };
  return (
    <Section
      title={seen(name)}
      note={<Instances of={of} />}
      aside={<a class="button" href={link(['mesh'], { waypoint: name })}>In the mesh</a>}
    >
      <GoldenTiles of={of.totals} seconds={seconds(data)} label={`${seen(name)}: golden signals`} />
      <div class="charts two">
        <RequestsChart {...charts} />
        <LatencyChart {...charts} />
      </div>
      <Routes of={of.routes} over={seconds(data)} />
    </Section>
  );
}

function Instances({ of }: { of: WaypointRow }) {
  const ready = of.instances.filter((one) => one.ready).length;
  const tone = ready === 0 ? 'failing' : ready < of.instances.length ? 'warning' : 'ok';
  return (
    <span class="row wrap">
      <Badge tone={tone} text={`${count(ready)} of ${plural(of.instances.length, 'instance')} ready`} />
      {of.instances.slice(0, 4).map((one) => (
        <span key={one.name} class="sub"><Name text={one.name} /> on <NodeName name={one.node} /></span>
      ))}
    </span>
  );
}

function Routes({ of, over }: { of: readonly RouteRow[]; over: number }) {
  if (of.length === 0) {
    return <Empty title="No route">Requests go to the service that was called. Apply an HTTPRoute to split or change them.</Empty>;
  }
  return (
    <ul class="routes" aria-label="Routes">
      {of.map((route) => (
        <li key={`${route.name} ${route.rule}`}><Route of={route} over={over} services={route.services.map(shortService)} /></li>
      ))}
    </ul>
  );
}
