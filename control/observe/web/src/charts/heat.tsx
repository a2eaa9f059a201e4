import { useEffect, useMemo, useRef } from 'preact/hooks';
import type uPlot from 'uplot';
import type { Heat } from '../api/answers';
import type { Event } from '../api/records';
import { span as spanStore } from '../api/now';
import { micros } from '../format/duration';
import { count } from '../format/number';
import { painted } from '../state/theme';
import { useStore } from '../state/store';
import { cursor } from './cursor';
import { Frame } from './frame';
import { colour, faded } from './paint';
import { follow, HEIGHT, plot } from './plot';
import { middles, starts, type Grid } from './series';
import { bands, densest, strength, type Band } from './bands';
import { units } from './unit';

/** How many took how long, over the window of the page: the darker, the more. */
export function HeatMap({ id, title, heat, grid, events = [] }: {
  id: string; title: string; heat: Heat; grid: Grid; events?: readonly Event[];
}) {
  const root = useRef<HTMLDivElement>(null);
  const told = useRef<HTMLSpanElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const paint = useStore(painted);
  const window = useStore(spanStore);
  const shown = useMemo(() => bands(heat, starts(grid)), [heat, grid]);
  const most = densest(shown);
  const data = useMemo(() => [middles(grid), middles(grid).map(() => null)] as uPlot.AlignedData, [grid]);
  const newest = useRef({ shown, most, grid, events, window });
  newest.current = { shown, most, grid, events, window };

  const point = (index: number | null): void => {
    if (told.current) told.current.textContent = index === null ? '' : ofStep(newest.current.shown, index);
  };

  useEffect(() => {
    const element = root.current;
    if (!element) return undefined;
    const made = plot(element, data, {
      unit: units.micros,
      series: [{ points: { show: false } }],
      around: () => ({
        span: newest.current.window, oldestMs: newest.current.grid.oldestMs, events: newest.current.events,
      }),
      pointed: point,
      scale: { range: () => [0, Math.max(1, newest.current.shown.length)] },
      axis: {
        splits: () => every(newest.current.shown.length),
        values: (_, marks) => marks.map((at) => newest.current.shown[at - 1]?.upper ?? 0).map((us) => (us ? micros(us) : '')),
      },
      draw: (self) => {
        const { grid: of, shown: all, most: top } = newest.current;
        const { ctx, bbox } = self;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        const columns = starts(of).map((at) => self.valToPos(at, 'x', true));
        const wide = self.valToPos(of.fromMs + of.stepMs, 'x', true) - self.valToPos(of.fromMs, 'x', true);
        all.forEach(({ counts }, row) => {
          const bottom = self.valToPos(row, 'y', true);
          const high = bottom - self.valToPos(row + 1, 'y', true);
          counts.forEach((n, i) => {
            if (n === 0) return;
            ctx.fillStyle = faded('--heat', strength(n, top));
            const left = Math.round(columns[i] ?? 0);
            const gap = wide > 10 ? 1 : 0;
            ctx.fillRect(left, bottom - high + 0.5, Math.round((columns[i] ?? 0) + wide) - left - gap, Math.max(1, high - 1));
          });
        });
        ctx.restore();
      },
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
  }, [paint]);

  useEffect(() => chart.current?.setData(data), [data, shown, window, events]);

  return (
    <Frame
      id={id}
      title={title}
      unit="time, log"
      summary={`${title}: a map of time against duration; its numbers are in the table behind it. Arrow keys move along the time.`}
      table={() => ({
        heads: shown.map((band) => label(band)),
        rows: starts(grid).map((atMs, i) => ({ atMs, cells: shown.map((band) => count(band.counts[i] ?? 0)) })),
      })}
      legend={
        <div class="legend">
          <span class="legend-item">
            <span>1</span>
            <HeatScale />
            <span class="num">{count(Math.max(1, most))} in a step</span>
          </span>
          <span class="legend-item num" ref={told} />
        </div>
      }
    >
      <div class="plot" ref={root} />
    </Frame>
  );
}

function HeatScale() {
  return (
    <span class="heat-scale" aria-hidden="true">
      {[0.15, 0.36, 0.57, 0.78, 1].map((opacity) => <i key={opacity} style={{ background: colour('--heat'), opacity }} />)}
    </span>
  );
}

function ofStep(shown: readonly Band[], index: number): string {
  const parts = shown.filter((band) => (band.counts[index] ?? 0) > 0)
    .sort((a, b) => (b.counts[index] ?? 0) - (a.counts[index] ?? 0))
    .slice(0, 2)
    .map((band) => `${label(band)}: ${count(band.counts[index] ?? 0)}`);
  return parts.join(', ');
}

function label({ lower, upper }: Band): string {
  if (!upper) return `over ${micros(lower)}`;
  return lower ? `${micros(lower)} – ${micros(upper)}` : `below ${micros(upper)}`;
}

/** Which borders are marked: at most five. */
function every(rows: number): number[] {
  const step = Math.max(1, Math.ceil(rows / 5));
  return Array.from({ length: Math.floor(rows / step) }, (_, i) => (i + 1) * step);
}
