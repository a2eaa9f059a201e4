// What stands around every page: the way to the others, the window, how the server is.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { about } from './api/about';
import { access, signOut } from './api/access';
import { health, retryNow } from './api/health';
import { live } from './api/live';
import { second } from './api/now';
import { relative } from './format/duration';
import { seen } from './format/name';
import { count, plural } from './format/number';
import { clock } from './format/time';
import { PAGES } from './pages';
import { Icon } from './parts/icon';
import { Notice } from './parts/notice';
import { Picker } from './parts/picker';
import { link, useAddress } from './state/navigate';
import { nextTheme, theme } from './state/theme';
import { useStore } from './state/store';

export function Shell({ help, children }: { help: () => void; children: ComponentChildren }) {
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(click) => {
        // The part after # is the page's address.
        click.preventDefault();
        document.getElementById('main')?.focus();
      }}>Skip to the page</a>
      <Side help={help} />
      <div class="column">
        <main id="main" tabIndex={-1}>{children}</main>
      </div>
    </div>
  );
}

function Side({ help }: { help: () => void }) {
  const { path } = useAddress();
  const known = useStore(about);
  const node = known?.scope === 'node';
  const chosen = useStore(theme);
  const { name } = useStore(access);
  const here = path[0] || 'mesh';
  const nav = useRef<HTMLElement>(null);
  // On a phone the pages are a row that is wider than the screen.
  useEffect(() => {
    const current = nav.current?.querySelector<HTMLElement>('[aria-current]');
    if (current && nav.current) nav.current.scrollLeft = current.offsetLeft - 40;
  }, [here]);
  return (
    <header class="side">
      <div class="brand">
        <img src="icon.svg" alt="" width="24" height="24" />
        <span class="brand-name">Ambit</span>
        <span class="brand-scope">{node ? 'node' : known ? 'fleet' : ''}</span>
        <span class="brand-tools">
          <button type="button" class="quiet square" title={`Colours: ${chosen} ( t )`} aria-label={`Colours: ${chosen}. Change`} onClick={() => theme.set(nextTheme(theme.get()))}>
            <Icon name={chosen === 'auto' ? 'auto' : chosen === 'dark' ? 'moon' : 'sun'} />
          </button>
          <button type="button" class="quiet square" title="Keyboard ( ? )" aria-label="Keyboard shortcuts" onClick={help}>
            <Icon name="help" />
          </button>
          {name && (
            <button type="button" class="quiet square" title={`Sign out ${seen(name)}`} aria-label={`Sign out ${seen(name)}`} onClick={() => void signOut()}>
              <Icon name="leave" />
            </button>
          )}
        </span>
      </div>
      <nav aria-label="Pages" ref={nav}>
        <ul>
          {PAGES.map((page) => (
            <li key={page.id}>
              <a href={link([page.id])} aria-current={here === page.id ? 'page' : undefined}>
                <Icon name={page.icon} />
                {page.title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Status />
    </header>
  );
}

/** Who answers, and whether live. */
function Status() {
  const known = useStore(about);
  const { connected, incidents } = useStore(live);
  const at = useStore(second);
  if (!known) return <div class="status" />;
  const lately = incidents.filter((one) => one.atMs > at - 60_000).length;
  const proxies = known.origins.filter((one) => one.kind !== 'control');
  const away = proxies.filter((one) => one.error);
  const single = proxies[0];
  const last = incidents[0];
  return (
    <div class="status">
      <p><span class={`dot ${connected ? 'on' : ''}`} aria-hidden="true" />{connected ? 'Live' : 'Asked again and again'}, {clock(at)}</p>
      <p>{lately ? plural(lately, 'failure') : 'No failure'} in 60 s</p>
      {last && lately > 0 && (
        <a class="status-last" href={link(['policies'], last.key.policy ? { policy: last.key.policy } : {})}>
          <span>{seen(last.key.failure || 'failed')}, {relative(last.atMs, at)}</span>
          <span>{seen(last.key.source.workload || last.sourceAddress)} → {seen(last.key.destination.workload || last.destinationAddress)}</span>
        </a>
      )}
      {known.scope === 'node'
        ? <p class="name" title={seen(single?.name ?? '')}>{single ? `${seen(single.kind)} on ${seen(single.node)}` : 'this node'}</p>
        : <p>{plural(proxies.length - away.length, 'proxy', 'proxies')} of {count(proxies.length)}</p>}
      {away.length > 0 && known.scope !== 'node' && <p class="name warn" title={away.map((one) => seen(`${one.node} ${one.name}: ${one.error}`)).join('\n')}><Icon name="warning" /> {plural(away.length, 'proxy', 'proxies')} away</p>}
      <p class="name" title={seen(`${known.cluster} ${known.version}`)}>{seen(known.cluster)} {known.version && `· ${seen(known.version)}`}</p>
    </div>
  );
}

/** Says that nobody answers, since when, and when it is tried again. */
function Server() {
  const { denied } = useStore(access);
  const { failingSinceMs, lastMs, error, retryMs } = useStore(health);
  useStore(second);
  if (!failingSinceMs && denied) return <Notice tone="warning"><strong>A right is missing</strong> to see who answers: {seen(denied)}</Notice>;
  if (!failingSinceMs) return null;
  const local = Date.now();
  // A restart takes a moment; only what lasts is said.
  if (lastMs && local - failingSinceMs < 1500) return null;
  const wait = Math.ceil((retryMs - local) / 1000);
  return (
    <Notice tone="failing" action={<button type="button" onClick={retryNow}>Try now</button>}>
      <strong>No answer since {clock(failingSinceMs)}</strong> ({relative(failingSinceMs, local).replace(' ago', '')}): {seen(error)}.{' '}
      {lastMs ? `What you see is of ${clock(lastMs)}. ` : 'Is the process running, and is its port still forwarded? '}
      <span class="num" aria-hidden="true">{wait > 0 ? `Next try in ${wait} s.` : 'Trying…'}</span>
    </Notice>
  );
}

/** The heading of a page, its window, and what narrows it. */
export function Head({ title, sub, children }: { title: ComponentChildren; sub?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <>
      <header class="page-top">
        <h1>{title}</h1>
        <div class="page-sub">{sub}</div>
        <Picker />
      </header>
      <Server />
      {children && <div class="page-tools">{children}</div>}
    </>
  );
}

