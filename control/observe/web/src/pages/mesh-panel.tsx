import type { RefObject } from 'preact';
import type { Link, Vertex } from '../api/answers';
import type { Line, Model } from '../graph/model';
import type { Chosen } from '../graph/view';
import { bytesRate } from '../format/bytes';
import { micros } from '../format/duration';
import { party, seen, shortService } from '../format/name';
import { count, percent, plural, rate } from '../format/number';
import { Badge, HealthBadge, SecurityBadge } from '../parts/badge';
import { Facts } from '../parts/facts';
import { Icon } from '../parts/icon';
import { IdentityName, Name, NodeName, PolicyName, WorkloadName } from '../parts/names';
import { link } from '../state/navigate';
import { failedPart } from './golden';
import { choose } from './mesh-graph';

/** What is chosen in the mesh, with the way to its pages. */
export function Panel({ root, model, chosen, over }: {
  root: RefObject<HTMLElement | null>; model: Model; chosen: NonNullable<Chosen>; over: number;
}) {
  const vertex = 'vertex' in chosen ? model.vertices[model.index.get(chosen.vertex) ?? -1] : undefined;
  const line = 'from' in chosen
    ? model.lines.find((one) => one.from === model.index.get(chosen.from) && one.to === model.index.get(chosen.to))
    : undefined;
  const title = vertex ? party(vertex.kind === 'namespace' ? '' : vertex.namespace, vertex.name || vertex.id)
    : 'from' in chosen ? `${short(model, chosen.from)} → ${short(model, chosen.to)}` : chosen.vertex;
  return (
    <aside class="panel" ref={root} tabIndex={-1} aria-label="Details" onKeyDown={(key) => {
      if (key.key !== 'Escape') return;
      choose(undefined);
      document.querySelector<HTMLElement>('.graph canvas')?.focus();
    }}>
      <header class="panel-head">
        <h2 class="name" title={seen(title)}>{seen(title)}</h2>
        <button type="button" class="quiet square" aria-label="Close the details" onClick={() => choose(undefined)}><Icon name="close" /></button>
      </header>
      {vertex ? <OfVertex of={vertex} model={model} over={over} />
        : line ? <OfLine of={line} model={model} over={over} />
        : <p>Not in this window: it carried nothing, or a filter hides it.</p>}
    </aside>
  );
}

function short(model: Model, id: string): string {
  return model.vertices[model.index.get(id) ?? -1]?.name || id;
}

function OfVertex({ of, model, over }: { of: Vertex; model: Model; over: number }) {
  const at = model.index.get(of.id) ?? -1;
  const lines = (model.touching[at] ?? []).map((i) => model.lines[i] as Line);
  const into = lines.filter((line) => line.to === at);
  const out = lines.filter((line) => line.from === at);
  return (
    <>
      <p class="row wrap"><HealthBadge health={of.health} /><span>{seen(of.kind)}</span></p>
      <p class="row wrap">
        {of.kind === 'workload' && of.namespace && <a class="button main" href={link(['workloads', of.namespace, of.name])}>Open its page</a>}
        {of.kind === 'waypoint' && <a class="button main" href={link(['waypoints'], { waypoint: `${of.namespace}/${of.name}` })}>Open its page</a>}
        {of.kind === 'namespace' && <a class="button main" href={link(['mesh'], { namespace: of.name || of.namespace, group: 'workload' })}>Show its workloads</a>}
        {of.kind === 'service' && <a class="button main" href={link(['mesh'], { service: `${of.namespace}/${of.name}`, group: 'workload' })}>Show who calls it</a>}
        {of.namespace && of.kind !== 'namespace' && <a class="button" href={link(['policies'], { namespace: of.namespace })}>Policies</a>}
      </p>
      <Facts
        of={[
          ['Identity', of.identity ? <IdentityName id={of.identity} /> : ''],
          ['Pods', of.pods ? `${count(of.enrolled)} of ${count(of.pods)} enrolled` : ''],
          ['Nodes', of.nodes.length ? <span class="row wrap">{of.nodes.slice(0, 6).map((name) => <NodeName key={name} name={name} />)}{of.nodes.length > 6 && `and ${of.nodes.length - 6} more`}</span> : ''],
        ]}
      />
      <Peers title={`Called by ${plural(into.length, 'caller')}`} lines={into} end="from" model={model} over={over} />
      <Peers title={`Calls ${count(out.length)}`} lines={out} end="to" model={model} over={over} />
    </>
  );
}

const bad: Record<string, number> = { failing: 3, warning: 2, ok: 1 };

function Peers({ title, lines, end, model, over }: { title: string; lines: readonly Line[]; end: 'from' | 'to'; model: Model; over: number }) {
  if (lines.length === 0) return null;
  const sorted = [...lines].sort((a, b) => (bad[b.health] ?? 0) - (bad[a.health] ?? 0) || b.load - a.load);
  return (
    <>
      <h3>{title}</h3>
      <ul class="peers">
        {sorted.slice(0, 40).map((line) => {
          const peer = model.vertices[line[end]];
          return peer && (
            <li key={peer.id}>
              <button type="button" class="peer" onClick={() => choose({ from: model.vertices[line.from]?.id ?? '', to: model.vertices[line.to]?.id ?? '' })}>
                <span class="name" title={seen(party(peer.namespace, peer.name || peer.id))}>{seen(party(peer.kind === 'namespace' ? '' : peer.namespace, peer.name || peer.id))}</span>
                <span class="num">{rate(line.load / over)}</span>
                <HealthBadge health={line.health} />
                <SecurityBadge security={line.security} />
              </button>
            </li>
          );
        })}
        {sorted.length > 40 && <li>and {count(sorted.length - 40)} more: see the list</li>}
      </ul>
    </>
  );
}

function OfLine({ of, model, over }: { of: Line; model: Model; over: number }) {
  const from = model.vertices[of.from];
  const to = model.vertices[of.to];
  return (
    <>
      <p class="row wrap"><HealthBadge health={of.health} /><SecurityBadge security={of.security} /></p>
      <Facts of={[['From', from && <End of={from} />], ['To', to && <End of={to} />]]} />
      {of.links.slice(0, 20).map((one, i) => <OneLink key={i} of={one} over={over} />)}
      {of.links.length > 20 && <p>and {count(of.links.length - 20)} more: see the list</p>}
    </>
  );
}

function End({ of }: { of: Vertex }) {
  return (
    <span class="row wrap">
      {of.kind === 'workload' ? <WorkloadName namespace={of.namespace} name={of.name} /> : <Name text={party(of.kind === 'namespace' ? '' : of.namespace, of.name || of.id)} />}
      <button type="button" class="quiet square" aria-label={`Choose ${seen(of.name || of.id)}`} onClick={() => choose({ vertex: of.id })}><Icon name="right" /></button>
    </span>
  );
}

function OneLink({ of, over }: { of: Link; over: number }) {
  const { totals } = of;
  return (
    <section class="one-link" aria-label={seen(of.service || of.protocol || 'link')}>
      <h3 class="name" title={seen(of.service)}>{of.service ? seen(`${shortService(of.service)}:${of.port}`) : 'No service'}</h3>
      <Facts
        of={[
          ['Protocol', <span class="row">{seen(of.protocol) || '–'}<SecurityBadge security={of.security} /></span>],
          ['Identity', <IdentityName id={of.identity} />],
          ['Connections', `${rate(totals.opened / over)}, ${count(totals.failed)} failed, ${count(totals.refused)} refused`],
          ['Requests', totals.requests ? `${rate(totals.requests / over)}, ${percent(totals.errors / totals.requests)} in error` : ''],
          ['Failed', percent(failedPart(totals))],
          ['p50, p99', totals.latencyP99Us ? `${micros(totals.latencyP50Us)}, ${micros(totals.latencyP99Us)}` : totals.durationP99Us ? `${micros(totals.durationP50Us)}, ${micros(totals.durationP99Us)}` : ''],
          ['Bytes', `${bytesRate(totals.sentBytes / over)} sent, ${bytesRate(totals.receivedBytes / over)} received`],
          ['Policies', of.policies.length ? <span class="row wrap">{of.policies.map((name) => <PolicyName key={name} name={name} />)}</span> : ''],
          ['Failures', of.failures.length ? (
            <span class="stack">
              {of.failures.map((one) => (
                <span key={`${one.failure} ${one.policy}`} class="row wrap">
                  <Badge tone={one.policy ? 'warning' : 'failing'} icon={one.policy ? 'policies' : 'failing'} text={`${one.failure} ${count(one.count)}`} />
                  {one.policy && <PolicyName name={one.policy} />}
                </span>
              ))}
            </span>
          ) : ''],
        ]}
      />
    </section>
  );
}

