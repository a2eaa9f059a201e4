// Names from the cluster are data. Whoever chose them may have put in what draws nothing, deletes,
// or turns the writing around: such characters are shown, not obeyed.

// Controls, bidirectional controls, zero width, line and paragraph separators, tags, lone halves.
const unseen =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;

/** `name` with every character that cannot be seen written as its number: `a‹202E›b`. */
export function seen(name: string): string {
  return name.replace(unseen, (character) => {
    const number = character.codePointAt(0) ?? 0;
    // The control pictures are one character wide and known.
    if (number < 0x20) return String.fromCodePoint(0x2400 + number);
    if (number === 0x7f) return '\u2421';
    return `‹${number.toString(16).toUpperCase().padStart(4, '0')}›`;
  });
}

/** What a SPIFFE ID is made of, where it has the form that Ambit gives it. */
export interface Identity {
  trustDomain: string;
  namespace: string;
  account: string;
}

/** Takes `spiffe://domain/ns/NAMESPACE/sa/ACCOUNT` apart. */
export function identity(id: string): Identity | undefined {
  const found = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id);
  if (!found) return undefined;
  return { trustDomain: found[1] ?? '', namespace: found[2] ?? '', account: found[3] ?? '' };
}

/** An identity as short as it stays clear: `shop/web`; whole where it has another form. */
export function shortIdentity(id: string): string {
  const parts = identity(id);
  return parts ? `${parts.namespace}/${parts.account}` : id;
}

/** `namespace/hostname` of a service as short as it stays clear: `shop/orders`. */
export function shortService(service: string): string {
  const slash = service.indexOf('/');
  const namespace = service.slice(0, slash);
  const host = service.slice(slash + 1);
  const own = `.${namespace}.svc`;
  const at = slash > 0 ? host.indexOf(own) : -1;
  return at > 0 ? `${namespace}/${host.slice(0, at)}` : service;
}

/** A party: `namespace/name`, or what is known of it. */
export function party(namespace: string, name: string): string {
  if (!namespace && !name) return 'unknown';
  return namespace ? `${namespace}/${name}` : name;
}
