import { useMemo } from 'preact/hooks';
import { events, nodes, type NodePoint } from '../api/answers';
import { filterOf, isAbout, type Field } from '../api/filter';
import type { Event } from '../api/records';
import type { Of } from '../api/shape';
import { useWindow } from '../api/use';
import { rates } from '../charts/series';
import { Chart } from '../charts/chart';
import { units } from '../charts/unit';
import { count } from '../format/number';
import { Answer } from '../parts/answer';
import { Events } from '../parts/events';
import { Choose, Filters, Search } from '../parts/filters';
import { containing } from '../parts/order';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { useAddress } from '../state/navigate';
import { ConnectionsChart, useLines } from './golden';
import { useGrid } from './grid';
import { useEvents } from './lately';
import { fleetPoints } from './fleet';

const fields: Field[] = ['namespace', 'workload', 'node'];

export function EventsPage() {
  const { query } = useAddress();
  const asked = useWindow(events, ['events'], filterOf(query, fields), { whole: true });
  const traffic = useWindow(nodes, ['nodes'], filterOf(query, ['node', 'namespace']));
  return (
    <>
      <Head title="Events" sub={asked.data && `${count(asked.data.events.length)} in this window`}>
        <Search label="Kind, subject or text" />
        <Choose label="Level" name="level" otherwise="" options={[['', 'All'], ['warning', 'Warnings'], ['error', 'Errors']]} />
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>{(data) => <Body data={data} traffic={traffic.data} />}</Answer>
    </>
  );
}

function Body({ data, traffic }: { data: Of<typeof events>; traffic: Of<typeof nodes> | undefined }) {
  const { query } = useAddress();
  const filter = filterOf(query, fields);
  const all = useEvents(data.events, (one) => isAbout(filter, one));
  const level = query['level'] ?? '';
  const kind = query['kind'] ?? '';
  const shown = useMemo(
    () => containing(all, query['q'] ?? '', (one) => [one.kind, one.subject, one.text, one.node])
      .filter((one) => (level === 'error' ? one.level === 'error' : level === 'warning' ? one.level !== 'info' && one.level !== '' : true))
      .filter((one) => !kind || one.kind === kind),
    [all, query['q'], level, kind],
  );
  const kinds = [...new Set(all.map((one) => one.kind))].sort();
  return (
    <>
      <Timeline events={shown} />
      {traffic && <Traffic data={traffic} events={shown} />}
      {kinds.length > 1 && (
        <Choose label="What" name="kind" otherwise="" options={[['', 'All'], ...kinds.map((one) => [one, `${one} ${count(all.filter((event) => event.kind === one).length)}`] as const)]} />
      )}
      <Events id="" label="Events" of={shown} />
    </>
  );
}

/** What was carried meanwhile: so that one sees what an event did. */
function Traffic({ data, events: shown }: { data: Of<typeof nodes>; events: readonly Event[] }) {
  const grid = useGrid(data);
  const points = useMemo(() => fleetPoints(data.nodes), [data]);
  const failures = useLines(() => [
    { label: 'failed', tint: '--failing', values: rates(grid, points, (p) => p.failed), fill: true },
    { label: 'refused', tint: '--warning', values: rates(grid, points, (p: NodePoint) => p.refused), dash: [4, 2] },
  ], [points, grid]);
  return (
    <div class="charts">
      <ConnectionsChart id="" points={points} grid={grid} events={shown} />
      <Chart id="failures" title="Failed and refused" unit={units.connections} lines={failures} grid={grid} events={shown} />
    </div>
  );
}
