import { useEffect, useRef, useState } from 'preact/hooks';
import { about } from '../api/about';
import { choice, now, span } from '../api/now';
import { span as spanText } from '../format/duration';
import { forInput, fromInput, range, zone } from '../format/time';
import { change, useAddress } from '../state/navigate';
import { useStore } from '../state/store';
import { choiceQuery, formatWidth, LONGER, PRESETS, shifted, zoomed, type Choice } from '../state/window';
import { Icon } from './icon';

export const pick = (next: Choice): void => change({ mark: undefined, ...choiceQuery(next) });

/** Chooses the window of the page: sliding with the present, or two moments. */
export function Picker() {
  useAddress();
  const window = useStore(span);
  const known = useStore(about);
  const [custom, setCustom] = useState(false);
  const chosen = choice();
  const width = window.toMs - window.fromMs;
  const freeze = (): void => pick({ live: false, fromMs: window.fromMs, toMs: window.toMs });
  return (
    <div class="picker" role="group" aria-label="Window of time">
      <button type="button" class="quiet square" title="Earlier ( [ )" aria-label="Earlier" onClick={() => pick(shifted(chosen, -0.5, now()))}>
        <Icon name="left" />
      </button>
      <button
        type="button"
        class="picker-range num"
        aria-expanded={custom}
        title={`${zone(window.toMs)}; choose other times`}
        onClick={() => setCustom(!custom)}
      >
        {chosen.live ? `Last ${spanText(width)}` : range(window.fromMs, window.toMs, now())}
        <Icon name="down" />
      </button>
      <button type="button" class="quiet square" title="Later ( ] )" aria-label="Later" disabled={chosen.live} onClick={() => pick(shifted(chosen, 0.5, now()))}>
        <Icon name="right" />
      </button>
      <button type="button" class="quiet square" title="Wider ( - )" aria-label="Wider window" onClick={() => pick(zoomed(chosen, 2, now()))}>
        <Icon name="minus" />
      </button>
      <button type="button" class="quiet square" title="Narrower ( + )" aria-label="Narrower window" onClick={() => pick(zoomed(chosen, 0.5, now()))}>
        <Icon name="plus" />
      </button>
      <button
        type="button"
        class={`live-switch ${chosen.live ? 'on' : ''}`}
        aria-pressed={chosen.live}
        title={chosen.live ? 'Stop here ( l )' : 'Follow the present ( l )'}
        onClick={() => (chosen.live ? freeze() : pick({ live: true, widthMs: roundWidth(width) }))}
      >
        <Icon name={chosen.live ? 'pause' : 'play'} />
        Live
      </button>
      {custom && <Custom chosen={chosen} oldestMs={known?.oldestMs ?? 0} longer={known?.longer ?? ''} close={() => setCustom(false)} />}
    </div>
  );
}

/** Widths that the address can say. */
export function roundWidth(ms: number): number {
  return Math.max(30_000, Math.round(ms / 1000) * 1000);
}

function Custom({ chosen, oldestMs, longer, close }: { chosen: Choice; oldestMs: number; longer: string; close: () => void }) {
  const { fromMs, toMs } = span.get();
  const [wrong, setWrong] = useState('');
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    root.current?.querySelector<HTMLElement>('button, input')?.focus();
    const away = (press: PointerEvent): void => {
      if (!root.current?.parentElement?.contains(press.target as Node)) close();
    };
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
  }, []);
  const submit = (submitted: SubmitEvent): void => {
    submitted.preventDefault();
    const form = new FormData(submitted.currentTarget as HTMLFormElement);
    const from = fromInput(String(form.get('from')));
    const to = fromInput(String(form.get('to')));
    if (from === undefined || to === undefined) return setWrong('Both times are needed.');
    if (to - from < 30_000) return setWrong('The end must be 30 s after the begin, or later.');
    pick({ live: false, fromMs: from, toMs: to });
    close();
  };
  return (
    <div class="popup picker-custom" ref={root} onKeyDown={(key) => key.key === 'Escape' && close()}>
      <div class="row" role="group" aria-label="Until now">
        {[...PRESETS, ...(longer ? LONGER : [])].map((ms) => (
          <button
            key={ms}
            type="button"
            aria-pressed={chosen.live && chosen.widthMs === ms}
            onClick={() => {
              pick({ live: true, widthMs: ms });
              close();
            }}
          >
            {formatWidth(ms).replace(/(\d+)/, '$1 ')}
          </button>
        ))}
      </div>
      <form onSubmit={submit}>
        <label>From <input type="datetime-local" name="from" step="1" defaultValue={forInput(fromMs)} /></label>
        <label>To <input type="datetime-local" name="to" step="1" defaultValue={forInput(toMs)} /></label>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <div class="row">
          <button type="submit" class="main">Show</button>
          <button type="button" onClick={close}>Cancel</button>
        </div>
      </form>
      <p class="note">
        Times are {zone(toMs)}.{' '}
        {oldestMs > 0 && <>Records are kept since {range(oldestMs, now(), now()).split(' – ')[0]} ({spanText(now() - oldestMs)}).</>}
        {longer && <> What is older comes from Prometheus.</>}
      </p>
    </div>
  );
}
