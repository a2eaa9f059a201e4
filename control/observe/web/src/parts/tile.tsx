import type { ComponentChildren } from 'preact';
import type { Tone } from './badge';
import { Icon } from './icon';

/** One number with its name, its unit and a remark. */
export function Tile({ label, value, note, tone }: {
  label: string; value: ComponentChildren; note?: ComponentChildren; tone?: Tone;
}) {
  return (
    <div class={`tile ${tone ? `tone-${tone}` : ''}`}>
      <dt>{label}</dt>
      <dd>
        <span class="tile-value">
          {tone && tone !== 'ok' && tone !== 'info' && <Icon name={tone} />}
          {value}
        </span>
        {note !== undefined && <span class="tile-note">{note}</span>}
      </dd>
    </div>
  );
}

export function Tiles({ children, label }: { children: ComponentChildren; label: string }) {
  return <dl class="tiles" aria-label={label}>{children}</dl>;
}
