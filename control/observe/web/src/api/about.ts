// Who serves this page, and of what.
import { store } from '../state/store';
import { about as read, type About } from './answers';
import { ask } from './client';
import { answered, failed } from './health';
import { setNow } from './now';

export const about = store<About | undefined>(undefined);

let next: ReturnType<typeof setTimeout> | undefined;

/** Asks now, and from then on every 15 s; while nobody answers, with growing pauses. */
export function startAbout(): void {
  clearTimeout(next);
  ask(read, ['about'], {}, new AbortController().signal).then(
    (answer) => {
      setNow(answer.nowMs);
      about.set(answer);
      answered();
      return 15_000;
    },
    (error: unknown) => failed(error instanceof Error ? error.message : String(error)),
  ).then((wait) => {
    clearTimeout(next);
    next = setTimeout(startAbout, wait);
  });
}
