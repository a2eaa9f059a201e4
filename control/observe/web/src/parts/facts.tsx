import type { ComponentChildren } from 'preact';

/** Names and values, in two columns. What has no value is left out. */
export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.filter(([, value]) => value !== '' && value !== undefined && value !== 0).map(([name, value]) => (
        <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  );
}
