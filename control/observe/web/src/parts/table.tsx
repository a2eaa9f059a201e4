import { Fragment, type ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { count } from '../format/number';
import { change, useAddress } from '../state/navigate';
import { listOf, toggled } from '../state/address';
import { Icon } from './icon';
import { nextOrder, parseOrder, sorted } from './order';

export interface Column<R> {
  id: string;
  head: string;
  cell: (row: R) => ComponentChildren;
  /** What to sort by; without it the column is not sorted. Numbers stand at the end. */
  value?: (row: R) => number | string;
  numeric?: boolean;
  /** Its head is for those who do not see it. */
  silent?: boolean;
  /** Left out where the screen is narrow. */
  wide?: boolean;
  /** Takes what room is left. */
  grow?: boolean;
}

interface Props<R> {
  /** Distinguishes the tables of a page in its address; "" for the main one. */
  id: string;
  label: string;
  columns: readonly Column<R>[];
  rows: readonly R[];
  rowKey: (row: R) => string;
  /** The order to begin with: a column, with `-` for falling. */
  order: string;
  /** More about a row, shown when it is opened. */
  more?: (row: R) => ComponentChildren;
  rowClass?: (row: R) => string;
  empty: ComponentChildren;
  /** How many rows are shown at first. */
  page?: number;
}

/** How many rows are shown at first: of the main table of a page, and of one among others. */
const MAIN = 100;
const OTHER = 12;
const MORE = 200;

/** Rows that can be sorted, opened and walked by keyboard; its order is in the address. */
export function Table<R>({ id, label, columns, rows, rowKey, order, more, rowClass, empty, page }: Props<R>) {
  const { query } = useAddress();
  const [shown, setShown] = useState(page ?? (id ? OTHER : MAIN));
  const key = id ? `sort-${id}` : 'sort';
  const openKey = id ? `open-${id}` : 'open';
  const sortable = columns.filter((column) => column.value).map((column) => column.id);
  const now = parseOrder(query[key] ?? '', sortable, order);
  const by = columns.find((column) => column.id === now.column);
  const all = by?.value ? sorted(rows, by.value, now.falling) : rows;
  const open = listOf(query[openKey]);
  if (rows.length === 0) return <>{empty}</>;
  const width = columns.length + (more ? 1 : 0);
  return (
    <div class="table-frame">
      <div class="table-scroll">
        <table role="table" aria-label={label} aria-rowcount={all.length}>
          <thead role="rowgroup">
            <tr role="row">
              {more && <th role="columnheader" class="cell-open"><span class="hidden">Details</span></th>}
              {columns.map((column) => (
                <th
                  key={column.id}
                  role="columnheader"
                  scope="col"
                  class={classes(column)}
                  aria-sort={column.id === now.column ? (now.falling ? 'descending' : 'ascending') : undefined}
                >
                  {column.value ? (
                    <button type="button" class="sort" onClick={() => change({ [key]: nextOrder(now, column.id, !!column.numeric) }, true)}>
                      {column.head}
                      <span class={`sort-sign ${column.id === now.column ? (now.falling ? 'falling' : 'rising') : ''}`} aria-hidden="true" />
                    </button>
                  ) : column.silent ? <span class="hidden">{column.head}</span> : column.head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {all.slice(0, shown).map((row) => {
              const of = rowKey(row);
              const mark = more ? fingerprint(of) : '';
              const opened = more !== undefined && open.includes(mark);
              return (
                <Fragment key={of}>
                  <tr role="row" class={`${rowClass?.(row) ?? ''} ${opened ? 'opened' : ''}`} data-row>
                    {more && (
                      <td role="cell" class="cell-open">
                        <button
                          type="button"
                          class="quiet square"
                          aria-expanded={opened}
                          aria-label={opened ? 'Hide details' : 'Show details'}
                          onClick={() => change({ [openKey]: toggled(query[openKey], mark) }, true)}
                        >
                          <Icon name={opened ? 'down' : 'right'} />
                        </button>
                      </td>
                    )}
                    {columns.map((column) => (
                      <td key={column.id} role="cell" class={classes(column)} data-head={column.head}>{column.cell(row)}</td>
                    ))}
                  </tr>
                  {opened && <tr role="row" class="row-more"><td role="cell" colSpan={width}>{more(row)}</td></tr>}
                </Fragment>
              );
            })}
          </tbody>
        </table>
      </div>
      {all.length > shown && (
        <p class="table-foot">
          <span>{count(shown)} of {count(all.length)} shown</span>
          <button type="button" onClick={() => setShown(shown + MORE)}>Show {count(Math.min(MORE, all.length - shown))} more</button>
        </p>
      )}
    </div>
  );
}

function classes<R>(column: Column<R>): string {
  return `cell-${column.id} ${column.numeric ? 'end' : ''} ${column.wide ? 'wide' : ''} ${column.grow ? 'grow' : ''}`;
}

/** A short name of a row for the address (FNV-1a); two rows with one name open together. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(36);
}
