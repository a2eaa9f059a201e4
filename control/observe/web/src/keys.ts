// Shortcuts of the whole application; docs in parts/help.tsx.
import { choice, now, span } from './api/now';
import { PAGES } from './pages';
import { pick, roundWidth } from './parts/picker';
import { link } from './state/navigate';
import { nextTheme, theme } from './state/theme';
import { PRESETS, shifted, zoomed } from './state/window';

/** Listens to the keyboard. `help` opens the sheet. */
export function startKeys(help: () => void): () => void {
  let going = 0;
  const press = (key: KeyboardEvent): void => {
    if (key.ctrlKey || key.metaKey || key.altKey || key.defaultPrevented) return;
    const target = key.target as HTMLElement;
    if (target.closest('input, select, textarea, dialog')) {
      if (key.key === 'Escape' && target instanceof HTMLInputElement && target.type === 'search') target.blur();
      return;
    }
    if (Date.now() - going < 1500) {
      going = 0;
      const page = PAGES.find((one) => one.key === key.key);
      if (page) location.hash = link([page.id]);
      return;
    }
    const preset = PRESETS[Number(key.key) - 1];
    if (key.key === 'g') going = Date.now();
    else if (key.key === '?') help();
    else if (key.key === '/') {
      const search = document.getElementById('search');
      if (!search) return;
      search.focus();
      key.preventDefault();
    } else if (key.key === 'l') follow();
    else if (key.key === '[') pick(shifted(choice(), -0.5, now()));
    else if (key.key === ']' && !choice().live) pick(shifted(choice(), 0.5, now()));
    else if (key.key === '-') pick(zoomed(choice(), 2, now()));
    else if (key.key === '+' || key.key === '=') pick(zoomed(choice(), 0.5, now()));
    else if (key.key === 't') theme.set(nextTheme(theme.get()));
    else if (key.key === 'j' || key.key === 'k') walk(key.key === 'j' ? 1 : -1);
    else if (preset) pick({ live: true, widthMs: preset });
  };
  document.addEventListener('keydown', press);
  return () => document.removeEventListener('keydown', press);
}

function follow(): void {
  const { fromMs, toMs } = span.get();
  if (choice().live) pick({ live: false, fromMs, toMs });
  else pick({ live: true, widthMs: roundWidth(toMs - fromMs) });
}

/** Focuses the first link or button of the next or last row. */
function walk(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-row]')];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const row = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
  row?.querySelector<HTMLElement>('a, button')?.focus();
}
