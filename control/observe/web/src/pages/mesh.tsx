import { useMemo } from 'preact/hooks';
import { about } from '../api/about';
import { events as eventsShape, mesh } from '../api/answers';
import { filterOf } from '../api/filter';
import type { Of } from '../api/shape';
import { useWindow } from '../api/use';
import { found, modelOf } from '../graph/model';
import { seen } from '../format/name';
import { plural } from '../format/number';
import { Answer, NoTraffic } from '../parts/answer';
import { Choose, Filters, Search } from '../parts/filters';
import { Timeline } from '../parts/timeline';
import { Head } from '../shell';
import { useAddress } from '../state/navigate';
import { useStore } from '../state/store';
import { seconds } from './grid';
import { useEvents } from './lately';
import { Failures } from './mesh-failures';
import { Graph } from './mesh-graph';
import { MeshList } from './mesh-list';

export function Mesh() {
  const { query } = useAddress();
  const known = useStore(about);
  const group = ['namespace', 'service'].includes(query['group'] ?? '') ? query['group'] as string : 'workload';
  const asked = useWindow(mesh, ['mesh'], { ...filterOf(query), group }, { whole: true });
  const around = useWindow(eventsShape, ['events'], filterOf(query, ['namespace', 'node', 'workload']), { whole: true });
  const node = known?.scope === 'node' ? known.origins.find((one) => one.node)?.node : undefined;
  return (
    <>
      <Head
        title="Mesh"
        sub={<>
          {node !== undefined && <span>what the proxy on {seen(node)} saw</span>}
          {asked.data && <span>{plural(asked.data.vertices.length, group)}, {plural(asked.data.edges.length, 'edge')}</span>}
        </>}
      >
        <Search label="Find in the mesh" />
        <Choose label="Group" name="group" otherwise="workload" clears={['at', 'sel', 'peer']} options={[['workload', 'Workloads'], ['service', 'Services'], ['namespace', 'Namespaces']]} />
        <Choose label="Form" name="view" otherwise="graph" options={[['graph', 'Graph'], ['list', 'List']]} />
        <Filters />
      </Head>
      <Answer of={asked}>{(data) => <Body data={data} events={around.data?.events ?? []} />}</Answer>
    </>
  );
}

function Body({ data, events }: { data: Of<typeof mesh>; events: Of<typeof eventsShape>['events'] }) {
  const { query } = useAddress();
  const model = useMemo(() => modelOf(data.vertices, data.edges), [data]);
  const hits = useMemo(() => found(model, query['q'] ?? ''), [model, query['q']]);
  const shown = useEvents(events, () => !query['namespace'] && !query['workload'] && !query['node']);
  return (
    <>
      <Timeline events={shown} />
      {data.vertices.length === 0 ? <NoTraffic what="traffic" />
        : query['view'] === 'list' ? <MeshList model={model} hits={hits} over={seconds(data)} />
        : <Graph model={model} hits={hits} over={seconds(data)} />}
      <Failures model={model} />
    </>
  );
}
