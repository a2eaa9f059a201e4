import { store } from './store';

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'ambit-theme';
const wish = matchMedia('(prefers-color-scheme: dark)');

/** What was chosen with the switch; `auto` follows the system. */
export const theme = store<Theme>(remembered());
/** Counts up when colours change, so that canvases draw anew. */
export const painted = store(0);

/** Makes the choice take effect, now and when it changes. */
export function startTheme(): void {
  const apply = (): void => {
    const chosen = theme.get();
    if (chosen === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = chosen;
    painted.set(painted.get() + 1);
  };
  theme.listen((chosen) => {
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // Storage may be forbidden; then the choice lasts as long as the page.
    }
    apply();
  });
  wish.addEventListener('change', apply);
  apply();
}

/** The next choice: from what is seen now to its opposite, then back to the system's. */
export function nextTheme(now: Theme): Theme {
  if (now === 'auto') return wish.matches ? 'light' : 'dark';
  const systems = wish.matches ? 'dark' : 'light';
  return now === systems ? 'auto' : systems;
}

function remembered(): Theme {
  try {
    const text = localStorage.getItem(KEY);
    return text === 'light' || text === 'dark' ? text : 'auto';
  } catch {
    return 'auto';
  }
}
