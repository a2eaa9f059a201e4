import { useMemo } from 'preact/hooks';
import { events as eventsShape, policies, type PolicyRow } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import type { Event } from '../api/records';
import type { Of } from '../api/shape';
import { useWindow } from '../api/use';
import { Chart } from '../charts/chart';
import { rates, summed, type Grid } from '../charts/series';
import { units } from '../charts/unit';
import { count, percent, plural } from '../format/number';
import { Answer } from '../parts/answer';
import { Filters, Search } from '../parts/filters';
import { Incidents } from '../parts/incidents';
import { Empty } from '../parts/notice';
import { containing } from '../parts/order';
import { Section } from '../parts/section';
import { Tile, Tiles } from '../parts/tile';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { useAddress } from '../state/navigate';
import { useGrid } from './grid';
import { useLines } from './golden';
import { useEvents, useIncidents } from './lately';
import { PolicyTable } from './policy-table';

const fields: Field[] = ['policy', 'namespace', 'workload', 'service', 'identity', 'node'];

export function Policies() {
  const { query } = useAddress();
  const filter = filterOf(query, fields);
  const { policy: chosen = '', ...others } = filter;
  // The table keeps all policies; what is chosen narrows the rest.
  const asked = useWindow(policies, ['policies'], others);
  const narrowed = useWindow(policies, ['policies'], filter, { off: !chosen });
  const around = useWindow(eventsShape, ['events'], {}, { whole: true });
  return (
    <>
      <Head title="Policies" sub={asked.data && `${count(asked.data.policies.length)} in force or met in this window`}>
        <Search label="Name, action or scope" />
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>
        {(data) => <Body data={data} refusals={chosen ? narrowed.data?.refusals ?? data.refusals.filter((one) => one.key.policy === chosen) : data.refusals} chosen={chosen} events={around.data?.events ?? []} />}
      </Answer>
    </>
  );
}

function Body({ data, refusals, chosen, events }: {
  data: Of<typeof policies>; refusals: Of<typeof policies>['refusals']; chosen: string; events: readonly Event[];
}) {
  const { query } = useAddress();
  const grid = useGrid(data);
  const of = useEvents(events, (one) => one.kind === 'policy');
  const shown = useMemo(() => of.filter((one) => one.kind === 'policy'), [of]);
  const incidents = useIncidents(refusals, filterOf(query, fields), (one) => one.key.policy !== '');
  const wanted = chosen ? data.policies.filter((row) => row.name === chosen) : data.policies;
  const allowed = sum(wanted, (row) => row.allowed);
  const refused = sum(wanted, (row) => row.refused);
  return (
    <>
      <Timeline events={shown} />
      <div class="split">
        <Tiles label="Decisions">
          <Tile label="Allowed" value={count(allowed)} note="by a policy" />
          <Tile label="Refused" value={count(refused)} note={`${percent(refused / Math.max(1, allowed + refused))} of all`} {...(refused ? { tone: 'warning' as const } : {})} />
          <Tile label="Policies" value={count(wanted.length)} note={plural(wanted.filter((row) => row.dryRun).length, 'dry run')} />
        </Tiles>
        <div class="charts"><Decisions of={wanted} grid={grid} events={shown} /></div>
      </div>
      <Section title="What each one decided">
        <PolicyTable
          id=""
          of={containing(data.policies, query['q'] ?? '', (row) => [row.name, row.action, row.enforcedBy, row.scope])}
          chosen={chosen}
          empty={<Empty title="No policy is in force">Everything is allowed. Apply an AuthorizationPolicy to restrict who may call whom.</Empty>}
        />
      </Section>
      <Section title={chosen ? `Last refusals by ${chosen}` : 'Last refusals'} note={plural(incidents.length, 'refusal')}>
        <Incidents id="refusals" page={50} label="Last refusals" of={incidents} empty="Nothing was refused in this window" />
      </Section>
    </>
  );
}

function Decisions({ of, grid, events }: { of: readonly PolicyRow[]; grid: Grid; events: readonly Event[] }) {
  const lines = useLines(() => {
    const points = summed(of.map((row) => row.points), (a, b) => ({
      atMs: a.atMs, allowed: a.allowed + b.allowed, refused: a.refused + b.refused,
    }));
    return [
      { label: 'allowed', tint: '--series-1', values: rates(grid, points, (p) => p.allowed), fill: true },
      { label: 'refused', tint: '--warning', values: rates(grid, points, (p) => p.refused), dash: [4, 2] },
    ];
  }, [of.map((row) => row.name).join(), grid]);
  return <Chart id="decisions" title="Decisions" unit={units.decisions} lines={lines} grid={grid} events={events} />;
}

function sum<R>(rows: readonly R[], value: (row: R) => number): number {
  return rows.reduce((total, row) => total + value(row), 0);
}
