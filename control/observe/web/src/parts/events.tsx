import type { Event } from '../api/records';
import { eventKey } from '../api/merge';
import { Around } from './around';
import { Badge, levelTone } from './badge';
import { Moment } from './moment';
import { Name, NodeName } from './names';
import { Empty } from './notice';
import { Subject } from './subject';
import { Table, type Column } from './table';

/** What changed, one by one. */
export function Events({ id, label, of }: { id: string; label: string; of: readonly Event[] }) {
  return (
    <Table
      id={id}
      label={label}
      columns={columns}
      rows={of}
      rowKey={eventKey}
      order="-at"
      empty={<Empty title="Nothing changed in this window">To look further back, widen the window.</Empty>}
    />
  );
}

const levels: Record<string, number> = { info: 0, warning: 1, error: 2 };

const columns: Column<Event>[] = [
  { id: 'at', head: 'Time', value: (one) => one.atMs, cell: (one) => <Moment ms={one.atMs} /> },
  {
    id: 'level', head: 'Level', value: (one) => levels[one.level] ?? 0,
    cell: (one) => <Badge tone={levelTone(one.level)} text={one.level || 'info'} />,
  },
  { id: 'kind', head: 'What', value: (one) => one.kind, cell: (one) => <Name text={one.kind} /> },
  { id: 'subject', head: 'Subject', value: (one) => one.subject, cell: (one) => <Subject text={one.subject} node={one.node} /> },
  { id: 'node', head: 'Node', value: (one) => one.node, cell: (one) => <NodeName name={one.node} /> },
  { id: 'text', head: 'Text', cell: (one) => <Name text={one.text} />, grow: true },
  { id: 'around', head: 'Around', silent: true, cell: (one) => <Around ms={one.atMs} /> },
];
