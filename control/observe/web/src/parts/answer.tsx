import type { ComponentChildren } from 'preact';
import type { Windowed } from '../api/answers';
import type { Asked } from '../api/use';
import { health, retryNow } from '../api/health';
import { choice, now } from '../api/now';
import { seen } from '../format/name';
import { plural } from '../format/number';
import { moment, range } from '../format/time';
import { change, to, address } from '../state/navigate';
import { useStore } from '../state/store';
import { choiceQuery, DEFAULT, resolve, zoomed } from '../state/window';
import { Empty, Notice } from './notice';

/** A page once its answer is there; before, and instead, what is the matter and what to do. */
export function Answer<T extends Windowed>({ of, children }: { of: Asked<T>; children: (data: T) => ComponentChildren }) {
  const server = useStore(health);
  const { data, wrong, trouble } = of;
  if (wrong) {
    if (wrong.status === 404) {
      return (
        <Empty title={seen(wrong.message)} action={<><Widen /><a class="button" href="#/mesh">Go to the mesh</a></>}>
          What was not there in this window cannot be shown; it may have been there before, or have another name.
        </Empty>
      );
    }
    if (wrong.status === 403) {
      return <Empty title="You may not see this page" action={<button type="button" onClick={retryNow}>Try now</button>}>{seen(wrong.message)}</Empty>;
    }
    return (
      <Empty title="The server does not take this question" action={<><Reset /><StartOver /></>}>
        {wrong.field && !wrong.message.startsWith(`${wrong.field}:`) && <><code>{seen(wrong.field)}</code>: </>}{seen(wrong.message)}
      </Empty>
    );
  }
  if (!data) {
    if (trouble && !server.failingSinceMs) {
      return (
        <Empty title="There is no answer yet" action={<button type="button" onClick={retryNow}>Try now</button>}>
          {seen(trouble.error)}. It is tried again until one comes.
        </Empty>
      );
    }
    return <div class="loading" role="status">{server.failingSinceMs ? 'Waiting for the server…' : 'Loading…'}</div>;
  }
  return (
    <div class={of.loading ? 'answer stale' : 'answer'} aria-busy={of.loading}>
      {trouble && !server.failingSinceMs && (
        <Notice tone="warning" action={<button type="button" onClick={retryNow}>Try now</button>}>
          Not refreshed since {moment(trouble.sinceMs, now())}: {seen(trouble.error)}
        </Notice>
      )}
      <Missing of={data} />
      <Older of={data} />
      <NotKept of={data} />
      {children(data)}
    </div>
  );
}

/** Names the proxies whose part is not in what is shown. */
function Missing({ of: { missing: all, history } }: { of: Windowed }) {
  const missing = all.filter(({ node, name }) => node !== '' || name !== history.source);
  if (missing.length === 0) return null;
  const shown = missing.slice(0, 5);
  return (
    <Notice tone="warning">
      <strong>{plural(missing.length, 'proxy', 'proxies')} did not answer</strong>; what they saw is missing here.
      <ul class="plain">
        {shown.map(({ node, name, error }) => (
          <li key={`${node} ${name}`}><b>{seen(name || 'ztunnel')}</b> on <b>{seen(node || 'unknown node')}</b>: {seen(error)}</li>
        ))}
        {missing.length > shown.length && <li>and {missing.length - shown.length} more</li>}
      </ul>
    </Notice>
  );
}

/** Says which part of the window comes from elsewhere, and what that cannot tell. */
function Older({ of: { history: { fromMs, toMs, source, error } } }: { of: Windowed }) {
  if (!source) return null;
  const part = range(fromMs, toMs, now());
  if (error) {
    return (
      <Notice tone="warning" action={<button type="button" onClick={retryNow}>Try now</button>}>
        <strong>Prometheus did not answer</strong>: of {part} only what proxies keep is shown. {seen(error)}
      </Notice>
    );
  }
  return (
    <Notice tone="info">
      {part} comes from Prometheus, where connections and requests are sums of metrics: incidents, events, open connections and
      policies are not in it, nor what was over before it was scraped.
    </Notice>
  );
}

/** Says that a part of the window lies before what is kept. */
function NotKept({ of: { oldestMs, fromMs, toMs } }: { of: Windowed }) {
  if (!oldestMs || toMs > oldestMs || toMs <= fromMs) return null;
  const width = toMs - fromMs;
  return (
    <Notice
      tone="info"
      action={<button type="button" onClick={() => change(choiceQuery({ live: false, fromMs: oldestMs, toMs: oldestMs + width }))}>Show the oldest</button>}
    >
      Nothing is kept of this window: the oldest records are of {moment(oldestMs, now())}.
    </Notice>
  );
}

/** Makes the window three times as wide. */
export function Widen() {
  const wider = (): void => change(choiceQuery(zoomed(choice(), 3, now())));
  const { fromMs, toMs } = resolve(choice(), now());
  return <button type="button" onClick={wider} title={`Now ${Math.round((toMs - fromMs) / 60_000)} minutes`}>Widen the window three times</button>;
}

function Reset() {
  return <button type="button" onClick={() => change(choiceQuery(DEFAULT))}>Last 15 minutes</button>;
}

function StartOver() {
  return <button type="button" onClick={() => to({ path: address.get().path, query: {} })}>Remove all filters</button>;
}

/** In place of a page whose subject nobody knows. */
export function Unknown({ what, name, all }: { what: string; name: string; all: string }) {
  return (
    <Empty title={`Nothing is known of ${what} ${seen(name)} in this window`} action={<><Widen /><a class="button" href={all}>All {what}s</a></>}>
      It may have been there before, have another name, or its proxy does not answer.
    </Empty>
  );
}

/** In place of rows where there was no traffic. */
export function NoTraffic({ what }: { what: string }) {
  return (
    <Empty title={`No ${what} in this window`} action={<Widen />}>
      Nothing that matches was carried. Widen the window, remove a filter, or send some traffic.
    </Empty>
  );
}
