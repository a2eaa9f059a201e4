// What happens now, as it happens: server-sent events of /api/v1/live.
import { store } from '../state/store';
import { urlOf } from './client';
import { answered, failed } from './health';
import { hurry, setNow } from './now';
import { event, incident, type Event, type Incident } from './records';

/** What is kept of each, newest first. */
const KEPT = 200;

export interface Live {
  connected: boolean;
  incidents: readonly Incident[];
  events: readonly Event[];
}

export const live = store<Live>({ connected: false, incidents: [], events: [] });

let source: EventSource | undefined;
// Storms are drawn a few times a second, not each message.
let waiting: { incidents: Incident[]; events: Event[] } = { incidents: [], events: [] };
let flushing = false;

/** Connects, and connects again whenever the stream ends. */
export function startLive(): void {
  source = new EventSource(urlOf(['live']));
  let silent: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(silent);
    // A tick comes each second.
    silent = setTimeout(() => lost('nothing came for 10 s'), 10_000);
  };
  const lost = (why: string): void => {
    clearTimeout(silent);
    source?.close();
    live.set({ ...live.get(), connected: false });
    setTimeout(startLive, failed(why));
  };
  source.onopen = () => {
    live.set({ ...live.get(), connected: true });
    alive();
  };
  source.onerror = () => lost('the live stream has ended');
  source.addEventListener('tick', (message) => {
    alive();
    setNow(Number((parsed(message) as { nowMs?: unknown } | undefined)?.nowMs ?? 0));
    answered();
  });
  source.addEventListener('incident', (message) => {
    alive();
    waiting.incidents.unshift(incident(parsed(message)));
    flush();
  });
  source.addEventListener('event', (message) => {
    alive();
    waiting.events.unshift(event(parsed(message)));
    flush();
  });
}

function flush(): void {
  waiting.incidents.length = Math.min(waiting.incidents.length, KEPT);
  waiting.events.length = Math.min(waiting.events.length, KEPT);
  if (flushing) return;
  flushing = true;
  setTimeout(() => {
    flushing = false;
    const last = live.get();
    const arrived = waiting;
    waiting = { incidents: [], events: [] };
    live.set({
      connected: last.connected,
      incidents: [...arrived.incidents, ...last.incidents].slice(0, KEPT),
      events: [...arrived.events, ...last.events].slice(0, KEPT),
    });
    hurry();
  }, 150);
}

function parsed(message: MessageEvent<unknown>): unknown {
  try {
    return JSON.parse(String(message.data));
  } catch {
    return undefined;
  }
}
