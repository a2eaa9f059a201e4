import { useEffect, useRef, useState } from 'preact/hooks';
import { stepFor } from '../state/window';
import { useStore } from '../state/store';
import { ask, ApiError } from './client';
import { answered, failed, health, pause, urged } from './health';
import { span } from './now';
import type { Read } from './shape';

/** An answer, or why there is none; the last answer stays while the next is fetched. */
export interface Asked<T> {
  data: T | undefined;
  /** What was wrong with the question: asking again does not help. */
  wrong: ApiError | undefined;
  /** What the server said instead of an answer, and since when; it is asked again. */
  trouble: { error: string; sinceMs: number } | undefined;
  /** That a first answer, or one to a changed question, is awaited. */
  loading: boolean;
}

/** Options of a question. */
export interface Asking {
  /** No question now. */
  off?: boolean;
  /** No steps: where only totals are shown. */
  whole?: boolean;
}

/**
 * Asks for the window of the page; anew when it slides, when the question changes, and with growing
 * pauses while nobody answers.
 */
export function useWindow<T>(
  read: Read<T>,
  path: readonly string[],
  query: Readonly<Record<string, string>> = {},
  { off = false, whole = false }: Asking = {},
): Asked<T> {
  const window = useStore(span);
  const urge = useStore(urged);
  const question = JSON.stringify([path, query]);
  const [state, setState] = useState<Asked<T> & { question: string }>({
    data: undefined, wrong: undefined, trouble: undefined, loading: true, question,
  });
  const running = useRef<{ question: string; abort: AbortController; live: boolean } | undefined>(undefined);
  const [again, setAgain] = useState(0);
  const ended = useRef(false);
  const failures = useRef({ count: 0, notBefore: 0, urge });

  useEffect(() => {
    if (off) return undefined;
    const before = running.current;
    if (before) {
      // A live window slides on; the question that is under way is let finish.
      if (before.question === question && before.live && window.live) return undefined;
      before.abort.abort();
    }
    // Until the pause is over nothing is asked, except what somebody urges.
    if (failures.current.urge !== urge) failures.current = { count: 0, notBefore: 0, urge };
    const rest = Math.max(health.get().retryMs, failures.current.notBefore) - Date.now();
    if (rest > 0) {
      const later = setTimeout(() => setAgain((n) => n + 1), rest);
      return () => clearTimeout(later);
    }
    const abort = new AbortController();
    const mine = { question, abort, live: window.live };
    running.current = mine;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const width = window.toMs - window.fromMs;
    const asked = {
      ...query,
      from: String(window.fromMs),
      to: String(window.toMs),
      ...(whole ? {} : { step: String(stepFor(width)) }),
    };
    ask(read, path, asked, abort.signal).then(
      (data) => {
        if (ended.current || running.current !== mine) return;
        running.current = undefined;
        answered();
        failures.current.count = 0;
        setState({ data, wrong: undefined, trouble: undefined, loading: false, question });
      },
      (error: unknown) => {
        if (ended.current || running.current !== mine) return;
        running.current = undefined;
        const why = error instanceof ApiError ? error : new ApiError(String(error), 0, '');
        if (!why.passing) {
          setState({ data: undefined, wrong: why, trouble: undefined, loading: false, question });
          return;
        }
        // Where nobody answers at all, all questions wait together.
        const wait = why.status === 0 ? failed(why.message) : pause(failures.current.count);
        failures.current.count += 1;
        failures.current.notBefore = Date.now() + wait;
        timer = setTimeout(() => setAgain((n) => n + 1), wait);
        setState((last) => {
          const data = last.question === question ? last.data : undefined;
          const sinceMs = last.trouble?.sinceMs ?? Date.now();
          return { data, wrong: undefined, trouble: { error: why.message, sinceMs }, loading: !data, question };
        });
      },
    );
    return () => clearTimeout(timer);
  }, [question, window, urge, again, off, whole]);

  useEffect(() => {
    ended.current = false;
    return () => {
      ended.current = true;
      running.current?.abort.abort();
      running.current = undefined;
    };
  }, []);

  if (state.question === question) return state;
  // Another question of the same page: what was shown stays until the answer, unless it is of
  // another subject.
  const subject = (asked: string): unknown => (JSON.parse(asked) as [unknown])[0];
  const same = JSON.stringify(subject(state.question)) === JSON.stringify(subject(question));
  return { data: same ? state.data : undefined, wrong: undefined, trouble: undefined, loading: true };
}
