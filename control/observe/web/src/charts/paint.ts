// Colours of the style sheet for canvases.

const known = new Map<string, string>();
let family = '';
let probe: HTMLElement | undefined;

/** Forgets what was looked up: the theme has changed. */
export function repaint(): void {
  known.clear();
  family = '';
}

/** The colour of a custom property, such as `--ink`, as a canvas takes it. */
export function colour(property: string): string {
  const found = known.get(property);
  if (found) return found;
  if (!probe) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${property})`;
  const value = getComputedStyle(probe).color;
  known.set(property, value);
  return value;
}

/** The same with another opacity. */
export function faded(property: string, opacity: number): string {
  const numbers = colour(property).match(/[\d.]+/g) ?? ['0', '0', '0'];
  return `rgba(${numbers.slice(0, 3).join(',')},${opacity})`;
}

/** The font of canvases, in pixels. */
export function font(size: number, weight = 400): string {
  family ||= getComputedStyle(document.body).fontFamily;
  return `${weight} ${size}px ${family}`;
}
