import type { ComponentChildren } from 'preact';
import type { PolicyRow } from '../api/answers';
import { count } from '../format/number';
import { Badge, type Tone } from '../parts/badge';
import { Name, PolicyName } from '../parts/names';
import { Spark } from '../parts/spark';
import { Table, type Column } from '../parts/table';

/** What each policy decided in the window. */
export function PolicyTable({ id, of, empty, chosen }: {
  id: string; of: readonly PolicyRow[]; empty: ComponentChildren; chosen?: string;
}) {
  return (
    <Table
      id={id}
      label="Policies"
      columns={columns}
      rows={of}
      rowKey={(row) => `${row.name} ${row.enforcedBy} ${row.action}`}
      order="-refused"
      rowClass={(row) => (chosen === row.name ? 'chosen' : '')}
      empty={empty}
    />
  );
}

const tones: Record<string, Tone> = { ALLOW: 'ok', DENY: 'warning' };

/** A DENY or CUSTOM policy lets nothing pass: others allow what it does not refuse. */
function allowed({ action, allowed: times }: PolicyRow) {
  return action === 'ALLOW' || times > 0 ? <span class="num">{count(times)}</span> : <span class="none">–</span>;
}

const columns: Column<PolicyRow>[] = [
  { id: 'name', head: 'Policy', value: (row) => row.name, cell: (row) => <PolicyName name={row.name} />, grow: true },
  {
    id: 'action', head: 'Action', value: (row) => row.action,
    cell: (row) => (
      <span class="row">
        <Badge tone={tones[row.action] ?? 'idle'} icon="policies" text={row.action || '–'} />
        {row.dryRun && <Badge tone="idle" text="dry run" title="It only counts what it would decide" />}
      </span>
    ),
  },
  { id: 'by', head: 'Enforced by', value: (row) => row.enforcedBy, cell: (row) => <Name text={row.enforcedBy || '–'} /> },
  { id: 'scope', head: 'Scope', value: (row) => row.scope, cell: (row) => <Name text={row.scope || '–'} /> },
  { id: 'allowed', head: 'Allowed', numeric: true, value: (row) => row.allowed, cell: allowed },
  { id: 'refused', head: 'Refused', numeric: true, value: (row) => row.refused, cell: (row) => <span class="num">{count(row.refused)}</span> },
  { id: 'trend', head: 'Refusals over the window', cell: (row) => (row.refused > 0 ? <Spark values={row.points.slice(0, -1).map((point) => point.refused)} tone="warning" /> : <span class="none">–</span>), wide: true },
];
