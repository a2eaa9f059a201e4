// Who is signed in, where one has to sign in: only where the pages are for others than the machine.
import { store } from '../state/store';

export interface Access {
  /** Nothing is answered before somebody signs in. */
  signedOut: boolean;
  /** Who is signed in; empty where nobody has to be, or a certificate does it. */
  name: string;
  /** What the server said when it asked to sign in. */
  why: string;
  /** What it said of a right that is missing to see who answers. */
  denied: string;
}

export const access = store<Access>({ signedOut: false, name: '', why: '', denied: '' });

const SIGN_IN = '/ui/sign-in';
const SIGN_OUT = '/ui/sign-out';
const SIGNED_IN = 'ambit-signed-in';

/** Notes what an answer says of who asks. */
export function heard(response: Response, error: string): void {
  const last = access.get();
  if (response.status === 401) {
    if (!last.signedOut) access.set({ signedOut: true, name: '', why: error, denied: '' });
    return;
  }
  const name = decoded(response.headers.get(SIGNED_IN) ?? '');
  if (name && (name !== last.name || last.signedOut)) access.set({ ...last, signedOut: false, name, why: '' });
}

/** Notes that a right is missing to see who answers, or that none is. */
export function denied(error: string): void {
  if (access.get().denied !== error) access.set({ ...access.get(), denied: error });
}

/** Signs in. The token goes nowhere else, and is not kept. Returns what is wrong, or nothing. */
export async function signIn(token: string): Promise<string> {
  const answer = await post(SIGN_IN, JSON.stringify({ token }));
  if (answer === undefined) return 'The server cannot be reached.';
  if (answer.ok) {
    access.set({ signedOut: false, name: '', why: '', denied: '' });
    return '';
  }
  const { error } = ((await answer.json().catch(() => undefined)) ?? {}) as { error?: unknown };
  return typeof error === 'string' && error ? error : `The server answered ${answer.status}.`;
}

/** Signs out. */
export async function signOut(): Promise<void> {
  const answer = await post(SIGN_OUT, '');
  if (answer?.ok) access.set({ signedOut: true, name: '', why: 'You have signed out.', denied: '' });
}

/** Calls once nobody is asked to sign in; now, if nobody is. */
export function whenSignedIn(then: () => void): void {
  if (!access.get().signedOut) return then();
  const stop = access.listen(({ signedOut }) => {
    if (signedOut) return;
    stop();
    then();
  });
}

function post(path: string, body: string): Promise<Response | undefined> {
  return fetch(path, {
    method: 'POST', body, headers: { 'content-type': 'application/json' }, redirect: 'error', signal: AbortSignal.timeout(20_000),
  }).catch(() => undefined);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
