import type { ComponentChildren } from 'preact';

/** A part of a page with its heading, and what belongs beside it. */
export function Section({ title, note, aside, children }: {
  title: string; note?: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren;
}) {
  return (
    <section class="section" aria-label={title}>
      <header class="section-head">
        <h2>{title}</h2>
        {note && <span class="note">{note}</span>}
        {aside && <div class="section-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}
