import { certificates } from '../api/answers';
import { filterOf, type Field } from '../api/filter';
import { now, second } from '../api/now';
import type { Certificate } from '../api/records';
import type { Of } from '../api/shape';
import { useWindow } from '../api/use';
import { relative, span } from '../format/duration';
import { seen } from '../format/name';
import { count, percent } from '../format/number';
import { whole } from '../format/time';
import { Answer } from '../parts/answer';
import { Badge, type Tone } from '../parts/badge';
import { Filters, Search } from '../parts/filters';
import { IdentityName, Name, NodeName } from '../parts/names';
import { Empty } from '../parts/notice';
import { containing, sorted } from '../parts/order';
import { Table, type Column } from '../parts/table';
import { Tile, Tiles } from '../parts/tile';
import { Head } from '../shell';
import { useAddress } from '../state/navigate';
import { useStore } from '../state/store';
import { standing, used } from './standing';

const fields: Field[] = ['namespace', 'identity', 'node'];

export function Certificates() {
  const { query } = useAddress();
  const asked = useWindow(certificates, ['certificates'], filterOf(query, fields), { whole: true });
  return (
    <>
      <Head title="Certificates" sub={asked.data && `${count(asked.data.certificates.length)} as of now, whatever the window`}>
        <Search label="Identity, node or serial" />
        <Filters fields={fields} />
      </Head>
      <Answer of={asked}>{(data) => <Body data={data} />}</Answer>
    </>
  );
}

function Body({ data }: { data: Of<typeof certificates> }) {
  const { query } = useAddress();
  const at = useStore(second);
  const all = data.certificates;
  const bad = all.filter((one) => ['expired', 'failed'].includes(standing(one, at)));
  const late = all.filter((one) => standing(one, at) === 'late');
  const waiting = all.filter((one) => standing(one, at) === 'pending');
  const next = Math.min(...all.filter((one) => one.notAfterMs > at && !one.authority).map((one) => one.notAfterMs));
  const root = Math.min(...all.filter((one) => one.notAfterMs > at && one.authority).map((one) => one.notAfterMs));
  return (
    <>
      <Tiles label="Certificates">
        <Tile label="Valid" value={count(all.filter((one) => standing(one, at) === 'valid').length)} note={`of ${count(all.length)}`} />
        <Tile label="Expired or failed" value={count(bad.length)} note="no traffic under them" {...(bad.length ? { tone: 'failing' as const } : {})} />
        <Tile label="Late to renew" value={count(late.length)} note="beyond 80 % of their life" {...(late.length ? { tone: 'warning' as const } : {})} />
        <Tile label="Pending" value={count(waiting.length)} note="asked for, not issued" {...(waiting.length ? { tone: 'warning' as const } : {})} />
        <Tile label="Next expiry" value={Number.isFinite(next) ? relative(next, at) : '–'} note="of a workload" />
        <Tile label="Authority" value={Number.isFinite(root) ? relative(root, at) : '–'} note="first to expire" />
      </Tiles>
      <Table
        id=""
        label="Certificates"
        columns={columns}
        rows={containing(sorted(all, (one) => one.notAfterMs || Number.MAX_SAFE_INTEGER, false), query['q'] ?? '', (one) => [one.identity, one.node, one.serial, one.state, one.kind])}
        rowKey={(one) => `${one.node} ${one.kind} ${one.identity} ${one.serial}`}
        order="state"
        empty={<Empty title="No certificate">Proxies ask for certificates when the first pod of an account is enrolled: <code>ambit enroll NAMESPACE</code></Empty>}
      />
    </>
  );
}

const tones: Record<string, Tone> = { valid: 'ok', late: 'warning', pending: 'warning', expired: 'failing', failed: 'failing' };
const ranks: Record<string, number> = { failed: 0, expired: 1, pending: 2, late: 3, valid: 4 };

const columns: Column<Certificate>[] = [
  { id: 'identity', head: 'Identity', value: (one) => one.identity, grow: true, cell: (one) => (one.authority ? <Name text={one.identity || 'authority'} /> : <IdentityName id={one.identity} />) },
  {
    id: 'state', head: 'State', value: (one) => ranks[standing(one, now())] ?? 5,
    cell: (one) => {
      const state = standing(one, now());
      return (
        <span class="stack">
          <Badge tone={tones[state] ?? 'idle'} text={state === 'late' ? 'late to renew' : state} />
          {one.error && <span class="sub">{seen(one.error)}</span>}
        </span>
      );
    },
  },
  { id: 'kind', head: 'Held by', value: (one) => one.kind, cell: (one) => <Name text={one.authority ? `${one.kind || 'control'}, authority` : one.kind || '–'} /> },
  { id: 'node', head: 'Node', value: (one) => one.node, cell: (one) => <NodeName name={one.node} /> },
  { id: 'life', head: 'Life', cell: (one) => <Life of={one} />, value: (one) => used(one, now()), wide: true },
  { id: 'expires', head: 'Expires', numeric: true, value: (one) => one.notAfterMs || Number.MAX_SAFE_INTEGER, cell: (one) => <Expiry ms={one.notAfterMs} /> },
  { id: 'serial', head: 'Serial', cell: (one) => <span class="mono name" title={seen(one.serial)}>{seen(one.serial) || '–'}</span>, wide: true },
];

function Expiry({ ms }: { ms: number }) {
  const at = useStore(second);
  if (!ms) return <span class="none">–</span>;
  return <time class="num" title={whole(ms)}>{relative(ms, at)}</time>;
}

/** How much of its life has passed, as a bar. */
function Life({ of }: { of: Certificate }) {
  const at = useStore(second);
  if (!of.notAfterMs) return <span class="none">–</span>;
  const part = used(of, at);
  const title = `${percent(part)} of ${span(of.notAfterMs - of.notBeforeMs)} has passed`;
  return (
    <span class="bar" role="img" aria-label={title} title={title}>
      <i class={part >= 1 ? 'bar-failing' : part > 0.8 ? 'bar-warning' : 'bar-main'} style={{ width: `${Math.round(part * 100)}%` }} />
    </span>
  );
}
