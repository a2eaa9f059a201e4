import type { ComponentChildren } from 'preact';
import { Icon } from './icon';

type Tone = 'info' | 'warning' | 'failing';

/** A message above what it is about, with what to do. */
export function Notice({ tone, children, action }: {
  tone: Tone; children: ComponentChildren; action?: ComponentChildren;
}) {
  return (
    <div class={`notice tone-${tone}`} role={tone === 'failing' ? 'alert' : 'status'}>
      <Icon name={tone} />
      <div class="notice-text">{children}</div>
      {action && <div class="notice-action">{action}</div>}
    </div>
  );
}

/** In place of what is not there: what that means, and what to do. */
export function Empty({ title, children, action }: {
  title: string; children?: ComponentChildren; action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <p>{children}</p>}
      {action && <p class="row">{action}</p>}
    </div>
  );
}
