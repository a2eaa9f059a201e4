import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { now, span as spanStore } from '../api/now';
import type { Event } from '../api/records';
import { cursor } from '../charts/cursor';
import { timeMark, timeMarks, timeStep } from '../charts/axis';
import { moment } from '../format/time';
import { plural } from '../format/number';
import { seen } from '../format/name';
import { useStore } from '../state/store';
import { levelTone } from './badge';
import { Icon } from './icon';
import { Around } from './around';
import { gathered } from './gather';

/** Pixels that a sign takes, with what is around it. */
const SIGN = 28;

/** The events of the window on one line; those that would overlap are one sign with their number. */
export function Timeline({ events }: { events: readonly Event[] }) {
  const { fromMs, toMs } = useStore(spanStore);
  const at = useStore(cursor);
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const width = toMs - fromMs;
  const line = useRef<HTMLDivElement>(null);
  const [places, setPlaces] = useState(24);
  useEffect(() => {
    const element = line.current;
    if (!element) return undefined;
    const sized = new ResizeObserver(() => setPlaces(Math.max(4, Math.floor(element.clientWidth / SIGN))));
    sized.observe(element);
    return () => sized.disconnect();
  }, []);
  const groups = useMemo(() => gathered(events, fromMs, toMs, places), [events, fromMs, toMs, places]);
  const place = (ms: number): { left: string } => ({ left: `${(100 * (ms - fromMs)) / width}%` });
  const step = timeStep(fromMs, toMs, Math.max(2, Math.min(12, places / 4)));
  const marks = timeMarks(fromMs, toMs, step)
    // What is written under a mark needs room on both sides.
    .filter((mark) => Math.min(mark - fromMs, toMs - mark) > width / places);
  const open = groups.find((group) => group.atMs === chosen);
  return (
    <section class="timeline" aria-label="Events of this window">
      <div class="timeline-line" ref={line}>
        {marks.map((mark) => (
          <span key={mark} class="timeline-mark" style={place(mark)} aria-hidden="true">
            {timeMark(mark, step)}
          </span>
        ))}
        {at !== null && at >= fromMs && at <= toMs && <span class="timeline-cursor" style={place(at)} aria-hidden="true" />}
        {groups.map((group) => {
          const first = group.events[0] as Event;
          const more = group.events.length > 1;
          const text = more
            ? `${plural(group.events.length, 'event')} from ${moment(group.atMs, now())}`
            : `${moment(first.atMs, now())} ${first.kind}: ${seen(first.subject)}`;
          return (
            <button
              key={group.atMs}
              type="button"
              class={`timeline-sign tone-${levelTone(group.level)}`}
              style={place(group.atMs)}
              title={text}
              aria-label={text}
              aria-expanded={chosen === group.atMs}
              onClick={() => setChosen(chosen === group.atMs ? undefined : group.atMs)}
            >
              {more ? <span class="num">{group.events.length}</span> : <Icon name={levelTone(group.level) as 'info'} />}
            </button>
          );
        })}
        {events.length === 0 && <span class="timeline-none">No events in this window</span>}
      </div>
      {open && (
        <ul class="timeline-list">
          {open.events.slice(0, 12).map((one, i) => (
            <li key={i} class={`tone-${levelTone(one.level)}`}>
              <Around ms={one.atMs} />
              <time class="num">{moment(one.atMs, now())}</time>
              <strong>{seen(one.kind)}</strong>
              <span class="name">{seen(one.subject)}</span>
              <span>{seen(one.text)}</span>
            </li>
          ))}
          {open.events.length > 12 && <li>and {open.events.length - 12} more: zoom in, or see Events</li>}
        </ul>
      )}
    </section>
  );
}
