// What happens now, as it happens: server-sent events of /api/v1/live.
import { store } from '../state/store';
import { urlOf } from './client';
import { startAbout } from './about';
import { whenSignedIn } from './access';
import { answered, pause } from './health';
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
let failures = 0;

/** Connects, and connects again whenever the stream ends. */
export function startLive(): void {
  const mine = new EventSource(urlOf(['live']));
  source = mine;
  let silent: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(silent);
    // A tick comes each second.
    silent = setTimeout(lost, 10_000);
  };
  const lost = (): void => {
    clearTimeout(silent);
    mine.close();
    if (source !== mine) return;
    live.set({ ...live.get(), connected: false });
    setTimeout(() => whenSignedIn(startLive), pause(failures));
    failures += 1;
    // Whether the server is gone, or only the stream, is for this to say.
    startAbout();
  };
  mine.onopen = () => {
    failures = 0;
    live.set({ ...live.get(), connected: true });
    alive();
  };
  mine.onerror = lost;
  mine.addEventListener('tick', (message) => {
    alive();
    setNow(Number((parsed(message) as { nowMs?: unknown } | undefined)?.nowMs ?? 0));
    answered();
  });
  mine.addEventListener('incident', (message) => {
    alive();
    waiting.incidents.unshift(incident(parsed(message)));
    flush();
  });
  mine.addEventListener('event', (message) => {
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
