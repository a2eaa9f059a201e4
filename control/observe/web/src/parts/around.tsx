import { now } from '../api/now';
import { clock } from '../format/time';
import { change } from '../state/navigate';
import { around, choiceQuery, MINUTE } from '../state/window';
import { Icon } from './icon';

/** The button that shows the five minutes around a moment, on the page where one is. */
export function Around({ ms }: { ms: number }) {
  const text = `5 minutes around ${clock(ms)}`;
  return (
    <button
      type="button"
      class="quiet square"
      title={text}
      aria-label={text}
      onClick={() => change({ ...choiceQuery(around(ms, 5 * MINUTE, now())), mark: String(ms) })}
    >
      <Icon name="clock" />
    </button>
  );
}
