// The order of a table, as its address has it: `name`, or `-name` for falling.

export interface Order {
  column: string;
  falling: boolean;
}

export function parseOrder(text: string, columns: readonly string[], otherwise: string): Order {
  for (const wanted of [text, otherwise]) {
    const falling = wanted.startsWith('-');
    const column = falling ? wanted.slice(1) : wanted;
    if (columns.includes(column)) return { column, falling };
  }
  return { column: columns[0] ?? '', falling: false };
}

/** What a click on the head of `column` makes of `order`: numbers start with the largest. */
export function nextOrder(order: Order, column: string, numeric: boolean): string {
  const falling = order.column === column ? !order.falling : numeric;
  return (falling ? '-' : '') + column;
}

const natural = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** Sorts stably; texts as people do: `node-2` before `node-10`. */
export function sorted<R>(rows: readonly R[], value: (row: R) => number | string, falling: boolean): R[] {
  const sign = falling ? -1 : 1;
  return [...rows].sort((a, b) => {
    const one = value(a);
    const other = value(b);
    if (typeof one === 'number' && typeof other === 'number') return sign * (one - other);
    return sign * natural.compare(String(one), String(other));
  });
}

/** Rows of which any text contains every word of `wanted`. */
export function containing<R>(rows: readonly R[], wanted: string, texts: (row: R) => readonly string[]): R[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...rows];
  return rows.filter((row) => {
    const all = texts(row).join('\u0000').toLowerCase();
    return words.every((word) => all.includes(word));
  });
}
