// Who serves this page, and of what.
import { store } from '../state/store';
import { about as read, type About } from './answers';
import { ask } from './client';
import { answered, failed } from './health';
import { setNow } from './now';

export const about = store<About | undefined>(undefined);

/** Asks now, and every 15 s. */
export function startAbout(): void {
  ask(read, ['about'], {}, new AbortController().signal).then(
    (answer) => {
      setNow(answer.nowMs);
      about.set(answer);
      answered();
      setTimeout(startAbout, 15_000);
    },
    (error: unknown) => {
      setTimeout(startAbout, failed(error instanceof Error ? error.message : String(error)));
    },
  );
}
