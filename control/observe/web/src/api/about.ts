// Who serves this page, and of what.
import { store } from '../state/store';
import { about as read, type About } from './answers';
import { access, denied, whenSignedIn } from './access';
import { ApiError, ask } from './client';
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
      denied('');
      answered();
      return 15_000;
    },
    (error: unknown) => {
      // The server is there, and says what is missing.
      const missing = error instanceof ApiError && (error.status === 401 || error.status === 403);
      if (!missing) return failed(error instanceof Error ? error.message : String(error));
      if (error.status === 403) denied(error.message);
      answered();
      return 15_000;
    },
  ).then((wait) => {
    clearTimeout(next);
    if (access.get().signedOut) return whenSignedIn(startAbout);
    next = setTimeout(startAbout, wait);
  });
}
