// The time as the server has it: what is asked for ends with it, not with a viewer's clock.
import { store } from '../state/store';
import { refreshEvery, resolve, parseChoice, type Choice, type Span } from '../state/window';
import { address } from '../state/navigate';

let skewMs = 0;

/** Takes the server's time from an answer or a tick. */
export function setNow(serverMs: number): void {
  if (serverMs > 0) skewMs = serverMs - Date.now();
}

export function now(): number {
  return Date.now() + skewMs;
}

/** What the address chooses. */
export function choice(): Choice {
  return parseChoice(address.get().query);
}

/** The window of every question and every chart of the page. */
export const span = store<Span>(resolve(choice(), now()));
/** The second that is now, for texts such as `5 s ago`. */
export const second = store(now());

let due = 0;

function slide(): void {
  const chosen = choice();
  const next = resolve(chosen, now());
  const last = span.get();
  if (next.fromMs !== last.fromMs || next.toMs !== last.toMs || next.live !== last.live) span.set(next);
  due = Date.now() + (chosen.live ? refreshEvery(chosen.widthMs) : Infinity);
}

/** Makes a live window slide soon: something has happened in it. */
export function hurry(): void {
  // Wide windows cost the server more; a live incident is shown at once anyway.
  const chosen = choice();
  if (chosen.live) due = Math.min(due, Date.now() + refreshEvery(chosen.widthMs) / 5);
}

export function startClock(): void {
  address.listen(slide);
  slide();
  setInterval(() => {
    second.set(now());
    if (Date.now() >= due && !document.hidden) slide();
  }, 500);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && choice().live) slide();
  });
}
