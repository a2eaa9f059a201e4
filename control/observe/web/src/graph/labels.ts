// Texts that do not overlap: the important ones first, and those without room not at all.
import { font } from '../charts/paint';

interface Label {
  text: string;
  x: number;
  y: number;
  size: number;
  weight: number;
  /** Lower ones are placed first. */
  rank: number;
  tint: string;
  /** Begins at x instead of being centred there. */
  left?: boolean;
  /** Not drawn where it is wider; 0: as wide as it likes. */
  room: number;
}

const CELL = 8;
const widths = new Map<string, number>();

export class Labels {
  private readonly wanted: Label[] = [];
  private readonly taken: Uint8Array;
  private readonly columns: number;
  private readonly rows: number;

  constructor(private readonly ctx: CanvasRenderingContext2D, private readonly width: number, private readonly height: number) {
    this.columns = Math.ceil(width / CELL);
    this.rows = Math.ceil(height / CELL);
    this.taken = new Uint8Array(this.columns * this.rows);
  }

  add(text: string, x: number, y: number, how: Omit<Label, 'text' | 'x' | 'y'>): void {
    if (text) this.wanted.push({ text, x, y, ...how });
  }

  /** Keeps texts away from a box. */
  block(x: number, y: number, wide: number, high: number): void {
    // Only its inner part: a text may touch a vertex's rim.
    this.each(x + wide * 0.25, y + high * 0.25, wide * 0.5, high * 0.5, (i) => {
      this.taken[i] = 1;
      return true;
    });
  }

  draw(ink: string, halo: string): void {
    const { ctx } = this;
    this.wanted.sort((a, b) => a.rank - b.rank);
    ctx.lineJoin = 'round';
    ctx.lineWidth = 3;
    ctx.strokeStyle = halo;
    for (const label of this.wanted) {
      const face = font(label.size, label.weight);
      const wide = measure(ctx, label.text, face);
      if (label.room && wide > label.room) continue;
      const left = label.left ? label.x : label.x - wide / 2;
      const top = label.left ? label.y - label.size : label.y;
      if (left > this.width || left + wide < 0 || top > this.height || top + label.size < 0) continue;
      let free = true;
      if (label.rank > 0) this.each(left, top, wide, label.size + 2, (i) => (free = !this.taken[i]));
      if (!free) continue;
      this.each(left, top, wide, label.size + 2, (i) => {
        this.taken[i] = 1;
        return true;
      });
      ctx.font = face;
      ctx.textAlign = 'left';
      ctx.textBaseline = 'top';
      ctx.strokeText(label.text, left, top);
      ctx.fillStyle = label.tint || ink;
      ctx.fillText(label.text, left, top);
    }
  }

  private each(x: number, y: number, wide: number, high: number, take: (index: number) => boolean): void {
    const [first, last] = [Math.max(0, Math.floor(x / CELL)), Math.min(this.columns - 1, Math.floor((x + wide) / CELL))];
    const [top, bottom] = [Math.max(0, Math.floor(y / CELL)), Math.min(this.rows - 1, Math.floor((y + high) / CELL))];
    for (let row = top; row <= bottom; row++) {
      for (let column = first; column <= last; column++) {
        if (!take(row * this.columns + column)) return;
      }
    }
  }
}

function measure(ctx: CanvasRenderingContext2D, text: string, face: string): number {
  const key = `${face} ${text}`;
  const known = widths.get(key);
  if (known !== undefined) return known;
  if (widths.size > 20_000) widths.clear();
  ctx.font = face;
  const wide = ctx.measureText(text).width;
  widths.set(key, wide);
  return wide;
}
