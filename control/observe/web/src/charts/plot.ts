// One uPlot chart: what all charts share. Styles are set from script, as the security policy allows.
import uPlot from 'uplot';
import type { Event } from '../api/records';
import { gathered } from '../parts/gather';
import { change, address } from '../state/navigate';
import { choiceQuery, dragged, type Span } from '../state/window';
import { timeMark, timeMarks, timeStep } from './axis';
import { cursor } from './cursor';
import { colour, faded, font } from './paint';
import type { Unit } from './unit';

export const AXIS_WIDTH = 64;
export const HEIGHT = 148;

export interface Plotted {
  unit: Unit;
  series: uPlot.Series[];
  /** What lies on the page beside the chart, as of now. */
  around: () => { span: Span; oldestMs: number; events: readonly Event[] };
  /** Told with the step that is pointed at. */
  pointed: (index: number | null) => void;
  /** Instead of numbers on the vertical axis. */
  axis?: Partial<uPlot.Axis>;
  scale?: Partial<uPlot.Scale>;
  draw?: (plot: uPlot) => void;
}

/** Makes the chart in `root`. It is the caller's to destroy. */
export function plot(root: HTMLElement, data: uPlot.AlignedData, what: Plotted): uPlot {
  const { unit, around } = what;
  const stepOf = (self: uPlot): number =>
    timeStep(around().span.fromMs, around().span.toMs, Math.max(2, self.bbox.width / devicePixelRatio / 72));
  const ink = colour('--ink-2');
  const line = colour('--grid');
  const text = font(11);
  return new uPlot(
    {
      width: Math.max(200, root.clientWidth),
      height: HEIGHT,
      ms: 1,
      legend: { show: false },
      padding: [8, 16, 0, 0],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 7 },
      },
      scales: {
        x: { time: true, range: () => [around().span.fromMs, around().span.toMs] },
        y: { range: (_, __, max) => [0, Math.max(unit.least ?? 0, max * 1.12) || 1], ...what.scale },
      },
      axes: [
        {
          stroke: ink, font: text, size: 20, gap: 3,
          grid: { stroke: line, width: 1 },
          ticks: { show: false },
          splits: (self) => {
            const { fromMs, toMs } = around().span;
            // The first must not run into the numbers of the other axis.
            const room = ((toMs - fromMs) * 18 * devicePixelRatio) / Math.max(1, self.bbox.width);
            return timeMarks(fromMs, toMs, stepOf(self)).filter((at) => at > fromMs + room);
          },
          values: (self, marks) => marks.map((at) => timeMark(at, stepOf(self))),
        },
        {
          stroke: ink, font: text, size: AXIS_WIDTH, gap: 6,
          grid: { stroke: line, width: 1 },
          ticks: { show: false },
          space: 26,
          ...(unit.steps ? { incrs: unit.steps } : {}),
          values: (_, marks) => marks.map((value) => unit.write(value)),
          ...what.axis,
        },
      ],
      series: [{}, ...what.series],
      hooks: {
        drawClear: [(self) => shade(self, around().oldestMs)],
        draw: [(self) => what.draw?.(self), (self) => mark(self, around().events)],
        setCursor: [
          (self) => {
            const { left, idx } = self.cursor;
            const inside = left !== undefined && left >= 0;
            what.pointed(inside && idx !== undefined ? idx : null);
            cursor.set(inside ? self.posToVal(left, 'x') : null);
          },
        ],
        setSelect: [
          (self) => {
            const { left, width } = self.select;
            self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            if (width > 6) change(choiceQuery(dragged(self.posToVal(left, 'x'), self.posToVal(left + width, 'x'))));
          },
        ],
      },
    },
    data,
    root,
  );
}

/** Moves the cursor of a chart to the moment that is pointed at elsewhere. */
export function follow(self: uPlot, atMs: number | null, pointed: (index: number | null) => void): void {
  const left = atMs === null ? -10 : self.valToPos(atMs, 'x');
  if (Math.abs((self.cursor.left ?? -10) - left) < 0.5) return;
  self.setCursor({ left, top: atMs === null ? -10 : 1 }, false);
  pointed(atMs === null ? null : (self.cursor.idx ?? null));
}

/** Shades what is not kept any more. */
function shade(self: uPlot, oldestMs: number): void {
  const { ctx, bbox } = self;
  const end = Math.min(bbox.left + bbox.width, self.valToPos(oldestMs, 'x', true));
  if (end <= bbox.left) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, end - bbox.left, bbox.height);
  ctx.clip();
  ctx.strokeStyle = faded('--ink-2', 0.18);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let x = bbox.left - bbox.height; x < end; x += 8 * devicePixelRatio) {
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
  }
  ctx.stroke();
  ctx.restore();
}

/** Draws events as lines with a sign on top, and the moment that a link was made for. */
function mark(self: uPlot, events: readonly Event[]): void {
  const { ctx, bbox } = self;
  const right = bbox.left + bbox.width;
  const ratio = devicePixelRatio;
  ctx.save();
  const stand = (atMs: number, tint: string, opacity: number, dash: number[], sign: boolean): void => {
    const x = Math.round(self.valToPos(atMs, 'x', true));
    if (x < bbox.left || x > right) return;
    ctx.strokeStyle = faded(tint, opacity);
    ctx.lineWidth = ratio;
    ctx.setLineDash(dash.map((length) => length * ratio));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (!sign) return;
    ctx.fillStyle = colour(tint);
    ctx.beginPath();
    ctx.moveTo(x - 4 * ratio, bbox.top - 6 * ratio);
    ctx.lineTo(x + 4 * ratio, bbox.top - 6 * ratio);
    ctx.lineTo(x, bbox.top);
    ctx.fill();
  };
  const { min = 0, max = 0 } = self.scales['x'] ?? {};
  const groups = gathered(events, min, max, Math.max(1, Math.floor(bbox.width / ratio / 12)));
  for (const { atMs, level } of groups) {
    const tint = level === 'error' ? '--failing' : level === 'warning' ? '--warning' : '--ink-2';
    // Many lines would hide the curves: then only the signs stand.
    if (groups.length <= 12) stand(atMs, tint, 0.5, [2, 3], true);
    else stand(atMs, tint, 0, [], true);
  }
  const chosen = Number(address.get().query['mark'] ?? 0);
  if (chosen) stand(chosen, '--accent', 1, [], true);
  ctx.restore();
}
