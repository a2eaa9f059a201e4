import { now, second } from '../api/now';
import { relative } from '../format/duration';
import { moment, whole } from '../format/time';
import { useStore } from '../state/store';

/** When it was: `14:03:22`, whole in the title. */
export function Moment({ ms }: { ms: number }) {
  if (!ms) return <span class="none">–</span>;
  return <time class="num" dateTime={new Date(ms).toISOString()} title={whole(ms)}>{moment(ms, now())}</time>;
}

/** How long ago, counting on. */
export function Ago({ ms }: { ms: number }) {
  const at = useStore(second);
  if (!ms) return <span class="none">–</span>;
  return <time class="num" dateTime={new Date(ms).toISOString()} title={whole(ms)}>{relative(ms, at)}</time>;
}
