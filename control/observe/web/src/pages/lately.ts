// What came live, for the page that shows it.
import { useMemo } from 'preact/hooks';
import { filterOf, matches, type Filter } from '../api/filter';
import { live } from '../api/live';
import { eventKey, incidentKey, withLive } from '../api/merge';
import { span } from '../api/now';
import type { Event, Incident } from '../api/records';
import { useStore } from '../state/store';

/** Incidents of an answer and those that came since; `also` says which belong to the page. */
export function useIncidents(
  asked: readonly Incident[],
  query: Readonly<Record<string, string>>,
  also: (one: Incident) => boolean = () => true,
): Incident[] {
  const lately = useStore(live).incidents;
  const { fromMs, toMs, live: sliding } = useStore(span);
  const filter: Filter = filterOf(query);
  return useMemo(
    () => withLive(asked, lately, incidentKey, (one) =>
      one.atMs >= fromMs && (sliding || one.atMs < toMs) && matches(filter, one) && also(one)),
    [asked, lately, fromMs, toMs, JSON.stringify(filter)],
  );
}

/** The same of events. */
export function useEvents(asked: readonly Event[], also: (one: Event) => boolean = () => true): Event[] {
  const lately = useStore(live).events;
  const { fromMs, toMs, live: sliding } = useStore(span);
  return useMemo(
    () => withLive(asked, lately, eventKey, (one) => one.atMs >= fromMs && (sliding || one.atMs < toMs) && also(one)),
    [asked, lately, fromMs, toMs],
  );
}
