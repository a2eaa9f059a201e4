import { useEffect, useMemo, useRef } from 'preact/hooks';
import type uPlot from 'uplot';
import type { Event } from '../api/records';
import { span as spanStore } from '../api/now';
import { painted } from '../state/theme';
import { useStore } from '../state/store';
import { cursor } from './cursor';
import { Frame } from './frame';
import { colour, faded } from './paint';
import { follow, HEIGHT, plot } from './plot';
import { middles, starts, type Grid, type Value } from './series';
import type { Unit } from './unit';

export interface Line {
  label: string;
  /** A custom property of the style sheet, such as `--series-1`. */
  tint: string;
  values: Value[];
  /** So that lines differ without colour too. */
  dash?: number[];
  fill?: boolean;
}

/** Lines over the window of the page. */
export function Chart({ id, title, unit, lines, grid, events = [] }: {
  id: string; title: string; unit: Unit; lines: readonly Line[]; grid: Grid; events?: readonly Event[];
}) {
  const root = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const paint = useStore(painted);
  const window = useStore(spanStore);
  const data = useMemo(() => [middles(grid), ...lines.map((line) => line.values)] as uPlot.AlignedData, [grid, lines]);
  // What hooks of the chart read when it draws: always the newest.
  const newest = useRef({ lines, unit, grid, events, window });
  newest.current = { lines, unit, grid, events, window };
  const form = lines.map((line) => [line.label, line.tint, line.dash, line.fill].join()).join('|');

  const point = (index: number | null): void => {
    const spans = legend.current?.querySelectorAll('[data-value]');
    newest.current.lines.forEach((line, i) => {
      const value = index === null ? last(line.values) : line.values[index];
      const text = value === null || value === undefined ? '–' : newest.current.unit.write(value);
      const element = spans?.[i];
      if (element && element.textContent !== text) element.textContent = text;
    });
  };

  useEffect(() => {
    const element = root.current;
    if (!element) return undefined;
    const made = plot(element, data, {
      unit,
      series: lines.map((line) => ({
        label: line.label,
        stroke: colour(line.tint),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
        ...(line.dash ? { dash: line.dash } : {}),
        ...(line.fill ? { fill: faded(line.tint, 0.12) } : {}),
      })),
      around: () => ({
        span: newest.current.window, oldestMs: newest.current.grid.oldestMs, events: newest.current.events,
      }),
      pointed: point,
    });
    chart.current = made;
    const sized = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    sized.observe(element);
    const deaf = cursor.listen((at) => follow(made, at, point));
    return () => {
      deaf();
      sized.disconnect();
      made.destroy();
      chart.current = undefined;
    };
  }, [paint, form, unit]);

  useEffect(() => {
    chart.current?.setData(data);
    point(null);
  }, [data, window, events]);

  const summary = `${title}: ${lines.map((line) => `${line.label} ${write(unit, last(line.values))}`).join(', ')}. Arrow keys move along the time, Enter zooms in.`;
  return (
    <Frame
      id={id}
      title={title}
      unit={unit.name}
      summary={summary}
      table={() => ({
        heads: lines.map((line) => line.label),
        rows: starts(grid).map((atMs, i) => ({ atMs, cells: lines.map((line) => write(unit, line.values[i])) })),
      })}
      legend={
        <div class="legend" ref={legend}>
          {lines.map((line) => (
            <span key={line.label} class="legend-item">
              <Swatch tint={line.tint} dash={line.dash} />
              <span>{line.label}</span>
              <span class="num legend-value" data-value>{write(unit, last(line.values))}</span>
            </span>
          ))}
        </div>
      }
    >
      <div class="plot" ref={root} />
    </Frame>
  );
}

function Swatch({ tint, dash }: { tint: string; dash?: number[] | undefined }) {
  return (
    <svg class="swatch" viewBox="0 0 16 8" width="16" height="8" aria-hidden="true">
      <path d="M0 4H16" style={{ stroke: `var(${tint})` }} stroke-dasharray={dash?.join(' ')} />
    </svg>
  );
}

function last(values: readonly Value[]): Value {
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

function write(unit: Unit, value: Value | undefined): string {
  return value === null || value === undefined ? '–' : unit.write(value);
}
