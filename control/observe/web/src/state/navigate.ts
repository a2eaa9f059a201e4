import { carried, changed, formatAddress, parseAddress, type Address } from './address';
import { store, useStore } from './store';

/** Where we are. */
export const address = store<Address>(parseAddress(location.hash));

window.addEventListener('hashchange', read);
window.addEventListener('popstate', read);

function read(): void {
  address.set(parseAddress(location.hash));
}

export function useAddress(): Address {
  return useStore(address);
}

/** One value of the address. */
export function useQuery(key: string): string {
  return useAddress().query[key] ?? '';
}

/**
 * Changes the state of this page. With `quiet` the step back leads past it: for what changes while
 * one types or drags.
 */
export function change(changes: Record<string, string | undefined>, quiet = false): void {
  const now = address.get();
  to({ path: now.path, query: changed(now.query, changes) }, quiet);
}

/** Goes to an address. */
export function to(next: Address, quiet = false): void {
  const text = formatAddress(next);
  if (text === formatAddress(address.get())) return;
  if (quiet) history.replaceState(null, '', text);
  else history.pushState(null, '', text);
  address.set(next);
}

/** The link to a page, in the same window. */
export function link(path: readonly string[], query: Record<string, string> = {}): string {
  return formatAddress({ path, query: { ...carried(address.get().query), ...query } });
}
