// What every chart has around it: its name and unit, its legend, and the table behind it.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { now, span } from '../api/now';
import { clock, moment } from '../format/time';
import { listOf, toggled } from '../state/address';
import { change, useQuery } from '../state/navigate';
import { choiceQuery, around } from '../state/window';
import { Icon } from '../parts/icon';
import { cursor } from './cursor';

export interface Rows {
  heads: string[];
  /** From the first step to the last; the time of its begin, then a text for each head. */
  rows: { atMs: number; cells: string[] }[];
}

/** `id` is the chart's name in the address of its page. */
export function Frame({ id, title, unit, legend, summary, table, children }: {
  id: string; title: string; unit: string; legend: ComponentChildren; summary: string;
  table: () => Rows; children: ComponentChildren;
}) {
  const tables = useQuery('table');
  const asTable = listOf(tables).includes(id);
  return (
    <figure class="chart" aria-label={`${title}, ${unit}`} data-chart={id}>
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-unit">{unit}</span>
        <button
          type="button"
          class="quiet square"
          aria-pressed={asTable}
          title={asTable ? 'Show the chart' : 'Show the numbers as a table'}
          aria-label={`${title}: ${asTable ? 'show the chart' : 'show the numbers as a table'}`}
          onClick={() => change({ table: toggled(tables, id) }, true)}
        >
          <Icon name="table" />
        </button>
      </figcaption>
      {asTable ? <ChartTable title={title} rows={table()} /> : (
        <>
          {legend}
          <Keyed summary={summary}>{children}</Keyed>
        </>
      )}
    </figure>
  );
}

/** Arrow keys move the cursor of all charts; Enter zooms in around it. */
function Keyed({ summary, children }: { summary: string; children: ComponentChildren }) {
  const told = useRef<HTMLSpanElement>(null);
  useEffect(() => cursor.listen((at) => {
    const element = told.current;
    if (element && element.parentElement === document.activeElement) {
      element.textContent = at === null ? '' : clock(at);
    }
  }), []);
  const press = (key: KeyboardEvent): void => {
    const { fromMs, toMs } = span.get();
    const width = toMs - fromMs;
    const at = cursor.get() ?? (key.key === 'ArrowLeft' ? toMs : fromMs);
    const step = width / (key.shiftKey ? 12 : 120);
    if (key.key === 'ArrowLeft') cursor.set(Math.max(fromMs, at - step));
    else if (key.key === 'ArrowRight') cursor.set(Math.min(toMs, at + step));
    else if (key.key === 'Home') cursor.set(fromMs);
    else if (key.key === 'End') cursor.set(toMs);
    else if (key.key === 'Escape') cursor.set(null);
    else if (key.key === 'Enter' && cursor.get() !== null) change(choiceQuery(around(at, width / 4, now())));
    else return;
    key.preventDefault();
    key.stopPropagation();
  };
  return (
    <div class="chart-plot" tabIndex={0} role="group" aria-label={summary} onKeyDown={press} onBlur={() => cursor.set(null)}>
      <span class="hidden" ref={told} aria-live="polite" />
      {children}
    </div>
  );
}

function ChartTable({ title, rows: { heads, rows } }: { title: string; rows: Rows }) {
  return (
    <div class="table-scroll chart-table" role="group" aria-label={`${title}: numbers`} tabIndex={0}>
      <table>
        <thead>
          <tr><th scope="col">From</th>{heads.map((head) => <th key={head} scope="col" class="end">{head}</th>)}</tr>
        </thead>
        <tbody>
          {[...rows].reverse().map(({ atMs, cells }) => (
            <tr key={atMs}>
              <th scope="row" class="num">{moment(atMs, now())}</th>
              {cells.map((cell, i) => <td key={heads[i]} class="end num">{cell}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
