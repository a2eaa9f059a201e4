// The state of every page is in its address: `#/workloads/shop/web?w=15m&sort=-failed`. After the
// `#`, so that one file serves every page, on a node's admin address too. Pure; see navigate.ts.

export interface Address {
  path: readonly string[];
  query: Readonly<Record<string, string>>;
}

/** Reads the part of a URL from `#` on. What cannot be read is left out. */
export function parseAddress(hash: string): Address {
  const text = hash.replace(/^#?\/?/, '');
  const mark = text.indexOf('?');
  const path = (mark < 0 ? text : text.slice(0, mark)).split('/').filter(Boolean).map(decode);
  const query: Record<string, string> = Object.create(null) as Record<string, string>;
  if (mark >= 0) for (const [key, value] of new URLSearchParams(text.slice(mark + 1))) query[key] = value;
  return { path, query };
}

/** Writes what `parseAddress` reads; keys in order, so that equal states have equal addresses. */
export function formatAddress(address: Address): string {
  const path = address.path.map(encodeURIComponent).join('/');
  const query = new URLSearchParams();
  for (const key of Object.keys(address.query).sort()) {
    const value = address.query[key];
    if (value !== undefined && value !== '') query.set(key, value);
  }
  // Readable where that is safe.
  const text = query.toString().replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%2C/g, ',');
  return `#/${path}${text ? `?${text}` : ''}`;
}

/** `query` with changes; undefined or an empty text takes a key away. */
export function changed(
  query: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const next: Record<string, string> = { ...query };
  for (const [key, value] of Object.entries(changes)) {
    if (value) next[key] = value;
    else delete next[key];
  }
  return next;
}

/** What goes along from page to page: the window and the namespace, not a page's own state. */
export function carried(query: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const key of ['w', 'from', 'to', 'mark', 'namespace']) {
    const value = query[key];
    if (value) kept[key] = value;
  }
  return kept;
}

/** A list in one value, as `table=a,b`. */
export function listOf(value: string | undefined): string[] {
  return value ? value.split(',').filter(Boolean) : [];
}

/** The list with `item` put in or taken out. */
export function toggled(value: string | undefined, item: string): string {
  const list = listOf(value);
  return (list.includes(item) ? list.filter((one) => one !== item) : [...list, item]).sort().join(',');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
