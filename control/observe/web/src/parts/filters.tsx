import { useState } from 'preact/hooks';
import { FIELDS, MEANING, type Field } from '../api/filter';
import { seen } from '../format/name';
import { change, useAddress } from '../state/navigate';
import { Icon } from './icon';

/** What of a page is asked for: chips of what is chosen, and a place to choose more. */
export function Filters({ fields = FIELDS }: { fields?: readonly Field[] }) {
  const { query } = useAddress();
  const [adding, setAdding] = useState<Field | ''>('');
  const chosen = fields.filter((field) => query[field]);
  const free = fields.filter((field) => !query[field]);
  const add = (submitted: SubmitEvent): void => {
    submitted.preventDefault();
    const value = String(new FormData(submitted.currentTarget as HTMLFormElement).get('value') ?? '').trim();
    if (adding && value) change({ [adding]: value });
    setAdding('');
  };
  return (
    <div class="filters" role="group" aria-label="Filters">
      {chosen.map((field) => (
        <span key={field} class="chip">
          <span class="chip-key">{field}</span>
          {field !== 'failed' && <span class="name">{seen(query[field] ?? '')}</span>}
          <button type="button" class="quiet square" aria-label={`Remove the filter ${field}`} onClick={() => change({ [field]: undefined })}>
            <Icon name="close" />
          </button>
        </span>
      ))}
      {free.length > 0 && (
        <select
          aria-label="Add a filter"
          value={adding}
          onChange={(picked) => {
            const field = picked.currentTarget.value as Field | '';
            if (field === 'failed') {
              setAdding('');
              change({ failed: 'true' });
            } else setAdding(field);
          }}
        >
          <option value="">Add filter…</option>
          {free.map((field) => <option key={field} value={field}>{MEANING[field]}</option>)}
        </select>
      )}
      {adding && (
        <form class="row" onSubmit={add}>
          <input
            name="value"
            type="text"
            autocomplete="off"
            spellcheck={false}
            aria-label={MEANING[adding]}
            placeholder={`${adding}, * at the end`}
            ref={(element) => element?.focus()}
            onKeyDown={(key) => key.key === 'Escape' && setAdding('')}
          />
          <button type="submit">Add</button>
        </form>
      )}
    </div>
  );
}

/** Narrows what is shown of an answer, as one types. */
export function Search({ label }: { label: string }) {
  const { query } = useAddress();
  return (
    <label class="search">
      <Icon name="search" />
      <input
        id="search"
        type="search"
        value={query['q'] ?? ''}
        placeholder={label}
        aria-label={label}
        autocomplete="off"
        spellcheck={false}
        onInput={(typed) => change({ q: typed.currentTarget.value }, true)}
      />
    </label>
  );
}

/** One of a few, in the address of the page. */
export function Choose({ label, name, options, otherwise, clears = [] }: {
  label: string; name: string; options: readonly (readonly [string, string])[]; otherwise: string;
  /** What of the address means nothing any more after the choice. */
  clears?: readonly string[];
}) {
  const { query } = useAddress();
  const now = query[name] || otherwise;
  return (
    <div class="choose" role="group" aria-label={label}>
      {options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          aria-pressed={now === value}
          onClick={() => change({
            ...Object.fromEntries(clears.map((key) => [key, undefined])),
            [name]: value === otherwise ? undefined : value,
          })}
        >
          {text}
        </button>
      ))}
    </div>
  );
}
