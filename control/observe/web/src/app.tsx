import { useEffect, useState } from 'preact/hooks';
import { access } from './api/access';
import { seen } from './format/name';
import { startKeys } from './keys';
import { PAGES } from './pages';
import { Certificates } from './pages/certificates';
import { EventsPage } from './pages/events';
import { Mesh } from './pages/mesh';
import { NodePage } from './pages/node';
import { Nodes } from './pages/nodes';
import { Policies } from './pages/policies';
import { Waypoints } from './pages/waypoints';
import { WorkloadPage } from './pages/workload';
import { Workloads } from './pages/workloads';
import { Help } from './parts/help';
import { Empty } from './parts/notice';
import { Shell } from './shell';
import { SignIn } from './sign-in';
import { useAddress } from './state/navigate';
import { useStore } from './state/store';

export function App() {
  const { signedOut } = useStore(access);
  return signedOut ? <SignIn /> : <Pages />;
}

function Pages() {
  const { path } = useAddress();
  const [help, setHelp] = useState(false);
  useEffect(() => startKeys(() => setHelp(true)), []);
  const page = path.join('/');
  useEffect(() => {
    const title = PAGES.find(({ id }) => id === (path[0] || 'mesh'))?.title ?? 'Not found';
    const name = path.slice(1).map(seen).join('/');
    document.title = `${name || title} · Ambit`;
    scrollTo(0, 0);
  }, [page]);
  return (
    <Shell help={() => setHelp(true)}>
      <div key={page} class={`page page-${PAGES.find(({ id }) => id === (path[0] || 'mesh'))?.id ?? 'none'}`}>{route(path)}</div>
      {help && <Help close={() => setHelp(false)} />}
    </Shell>
  );
}

function route(path: readonly string[]) {
  const [page = 'mesh', one, two] = path;
  if (path.length <= 1) {
    if (page === 'mesh') return <Mesh />;
    if (page === 'nodes') return <Nodes />;
    if (page === 'workloads') return <Workloads />;
    if (page === 'waypoints') return <Waypoints />;
    if (page === 'policies') return <Policies />;
    if (page === 'certificates') return <Certificates />;
    if (page === 'events') return <EventsPage />;
  }
  if (page === 'nodes' && one && path.length === 2) return <NodePage name={one} />;
  if (page === 'workloads' && one && two && path.length === 3) return <WorkloadPage namespace={one} name={two} />;
  return (
    <Empty title="There is no such page" action={<a class="button" href="#/mesh">Go to the mesh</a>}>
      The link may be cut off, or of another version of Ambit.
    </Empty>
  );
}
