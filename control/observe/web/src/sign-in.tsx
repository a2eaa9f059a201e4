// In place of every page until somebody signs in. The address stays, so that the page that was asked for comes.
import { useEffect, useRef, useState } from 'preact/hooks';
import { access, signIn } from './api/access';
import { seen } from './format/name';
import { Icon } from './parts/icon';
import { useStore } from './state/store';

export function SignIn() {
  const { why } = useStore(access);
  const [wrong, setWrong] = useState('');
  const [waits, setWaits] = useState(false);
  const token = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Ambit';
    token.current?.focus();
  }, []);
  const submit = (sent: Event): void => {
    sent.preventDefault();
    const text = token.current?.value.trim() ?? '';
    if (!text || waits) return;
    setWaits(true);
    setWrong('');
    void signIn(text).then((problem) => {
      setWaits(false);
      if (!problem) return;
      setWrong(problem);
      // A token that was refused is of no use to the next one at this screen.
      if (token.current) token.current.value = '';
      token.current?.focus();
    });
  };
  return (
    <main class="sign-in">
      <form onSubmit={submit} aria-labelledby="sign-in-title">
        <div class="brand"><img src="icon.svg" alt="" width="24" height="24" /><span class="brand-name">Ambit</span></div>
        <h1 id="sign-in-title">Sign in</h1>
        <p class="note">{seen(why)}</p>
        <label for="token">Token of the cluster</label>
        <input id="token" ref={token} type="password" autocomplete="off" spellcheck={false} required aria-describedby="sign-in-help sign-in-wrong" />
        <p id="sign-in-wrong" class="wrong" role="alert">{wrong && <><Icon name="failing" /> {seen(wrong)}</>}</p>
        <button type="submit" class="main" disabled={waits}>{waits ? 'Asking the API server…' : 'Sign in'}</button>
        <p id="sign-in-help" class="note">
          <code>kubectl create token ACCOUNT --audience ambit-dashboard</code> makes one, if the operator has set no other
          audience. It is shown to nobody, and not kept in this browser; you stay signed in for an hour at most.
        </p>
      </form>
    </main>
  );
}
