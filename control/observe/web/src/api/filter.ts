// The filter of a page, as the API takes it (`Filter` of observe.proto); the same rules here for
// what comes live.
import type { EdgeKey, Event, Incident } from './records';

export const FIELDS = [
  'namespace', 'workload', 'service', 'identity', 'policy', 'node', 'reporter', 'waypoint', 'failed',
] as const;
export type Field = (typeof FIELDS)[number];
export type Filter = Partial<Record<Field, string>>;

/** What each field means, for whoever chooses one. */
export const MEANING: Record<Field, string> = {
  namespace: 'Namespace, on either side',
  workload: 'Workload or pod, on either side',
  service: 'Called service: name or namespace/name',
  identity: 'SPIFFE ID, on either side',
  policy: 'Policy that decided: namespace/name',
  node: 'Node of the proxy that saw it',
  reporter: 'Who counted: source, destination or waypoint',
  waypoint: 'Waypoint: namespace/gateway',
  failed: 'Only what failed or was refused',
};

/** Those fields of an address that are a filter. */
export function filterOf(query: Readonly<Record<string, string>>, fields: readonly Field[] = FIELDS): Filter {
  const filter: Filter = {};
  for (const field of fields) {
    const value = query[field];
    if (value) filter[field] = value;
  }
  return filter;
}

/** Whether an incident is what `filter` asks for. */
export function matches(filter: Filter, { key, sourcePod, destinationPod, node }: Incident): boolean {
  const either = (wanted: string | undefined, ...values: string[]): boolean =>
    !wanted || values.some((value) => same(wanted, value));
  return (
    either(filter.namespace, key.source.namespace, key.destination.namespace) &&
    either(filter.workload, key.source.workload, key.destination.workload, sourcePod, destinationPod) &&
    either(filter.identity, key.source.identity, key.destination.identity) &&
    either(filter.policy, key.policy) &&
    either(filter.node, node) &&
    either(filter.reporter, key.reporter) &&
    either(filter.waypoint, key.waypoint) &&
    ofService(filter.service, key)
  );
}

/** Whether an event is what `filter` asks for: it has a node, and names in its subject. */
export function isAbout(filter: Filter, { node, subject }: Event): boolean {
  const parts = subject.split(/[ /,]/);
  const named = (wanted: string | undefined) => !wanted || parts.some((part) => same(wanted, part));
  return (!filter.node || same(filter.node, node)) && named(filter.namespace) && named(filter.workload);
}

function ofService(wanted: string | undefined, { service }: EdgeKey): boolean {
  if (!wanted) return true;
  const host = service.slice(service.indexOf('/') + 1);
  const namespace = service.slice(0, Math.max(0, service.indexOf('/')));
  const short = host.split('.')[0] ?? '';
  return [service, host, short, `${namespace}/${short}`].some((value) => same(wanted, value));
}

/** Text compares whole; `*` at the end matches any rest. */
function same(wanted: string, value: string): boolean {
  return wanted.endsWith('*') ? value.startsWith(wanted.slice(0, -1)) : wanted === value;
}
