// Draws a mesh on a canvas. Lines of one look are one path: a few strokes for thousands of lines.
import { colour, faded, font } from '../charts/paint';
import { party, seen } from '../format/name';
import type { Camera } from './camera';
import { Labels } from './labels';
import type { Place } from './layout';
import { outline, strokeOf, tintOf, type Stroke } from './look';
import type { Model } from './model';
import { groupOf } from './places';

export interface Scene {
  model: Model;
  places: readonly Place[];
  /** "health" or "security". */
  by: string;
  /** What is emphasised: a vertex or a line with its ends; everything else steps back. */
  strong: { vertices: ReadonlySet<number>; lines: ReadonlySet<number> } | undefined;
  chosen: number | undefined;
  hovered: number | undefined;
  focused: number | undefined;
  /** The camera moves: many lines are drawn simpler, so that it stays fluid. */
  moving: boolean;
}

/** From so many lines on they are thinner, and simpler while the camera moves. */
const MANY = 500;

export const radiusAt = (k: number): number => Math.min(13, Math.max(3, 9 * Math.sqrt(k)));

export function draw(ctx: CanvasRenderingContext2D, scene: Scene, camera: Camera, width: number, height: number): void {
  const { places } = scene;
  const { k } = camera;
  const toX = (x: number): number => (x - camera.x) * k + width / 2;
  const toY = (y: number): number => (y - camera.y) * k + height / 2;
  const px = places.map((place) => toX(place.x));
  const py = places.map((place) => toY(place.y));
  const r = radiusAt(k);
  ctx.clearRect(0, 0, width, height);
  const labels = new Labels(ctx, width, height);
  areas(ctx, scene, px, py, r, labels, k);
  lines(ctx, scene, px, py, r, width, height);
  vertices(ctx, scene, px, py, r, width, height, labels, k);
  labels.draw(colour('--ink'), faded('--surface', 0.85));
}

/** A field behind the members of each namespace. */
function areas(ctx: CanvasRenderingContext2D, { model, strong }: Scene, px: number[], py: number[], r: number, labels: Labels, k: number): void {
  const boxes = new Map<string, [number, number, number, number]>();
  model.vertices.forEach((vertex, i) => {
    const group = groupOf(vertex);
    if (!group || vertex.kind === 'external' || vertex.kind === 'unknown') return;
    const x = px[i] ?? 0;
    const y = py[i] ?? 0;
    const box = boxes.get(group);
    if (!box) boxes.set(group, [x, y, x, y]);
    else boxes.set(group, [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)]);
  });
  const margin = r + Math.max(4, 14 * k);
  // The names of members stand below them.
  const under = k > 0.28 ? 10 : 0;
  ctx.fillStyle = faded('--ink-2', strong ? 0.035 : 0.06);
  ctx.strokeStyle = faded('--ink-2', 0.18);
  ctx.lineWidth = 1;
  ctx.setLineDash([]);
  for (const [group, [left, top, right, bottom]] of boxes) {
    ctx.beginPath();
    ctx.roundRect(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin + under, 8);
    ctx.fill();
    ctx.stroke();
    labels.add(seen(group), left - margin + 4, top - margin - 3, {
      size: 12, weight: 600, rank: 2, left: true, tint: colour('--ink-2'), room: right - left + 2 * margin + 24,
    });
  }
}

function lines(ctx: CanvasRenderingContext2D, scene: Scene, px: number[], py: number[], r: number, width: number, height: number): void {
  const { model, strong, by } = scene;
  const groups = new Map<string, { stroke: Stroke; weak: boolean; of: number[] }>();
  const many = model.lines.length > MANY;
  const simple = many && scene.moving;
  model.lines.forEach((line, i) => {
    const [ax, ay, bx, by_] = [px[line.from] ?? 0, py[line.from] ?? 0, px[line.to] ?? 0, py[line.to] ?? 0];
    if (Math.max(ax, bx) < 0 || Math.min(ax, bx) > width || Math.max(ay, by_) < 0 || Math.min(ay, by_) > height) return;
    const stroke = strokeOf(by, line.health, line.security, line.load, many);
    const weak = strong !== undefined && !strong.lines.has(i);
    const key = `${weak ? 0 : 1} ${stroke.tint} ${stroke.dash.join()} ${stroke.width}`;
    const group = groups.get(key);
    if (group) group.of.push(i);
    else groups.set(key, { stroke, weak, of: [i] });
  });
  const order = ['--idle', '--ok', '--series-4', '--warning', '--failing'];
  const sorted = [...groups.values()].sort((a, b) =>
    Number(b.weak) - Number(a.weak) || order.indexOf(a.stroke.tint) - order.indexOf(b.stroke.tint));
  const arrows = r > 4 && !simple;
  for (const { stroke, weak, of } of sorted) {
    const paint = faded(stroke.tint, weak ? 0.1 : stroke.opacity);
    ctx.strokeStyle = paint;
    ctx.fillStyle = paint;
    ctx.lineWidth = weak ? 1 : stroke.width;
    ctx.setLineDash(simple ? [] : stroke.dash);
    ctx.beginPath();
    const heads = new Path2D();
    for (const i of of) {
      const line = model.lines[i];
      if (line && simple) {
        ctx.moveTo(px[line.from] ?? 0, py[line.from] ?? 0);
        ctx.lineTo(px[line.to] ?? 0, py[line.to] ?? 0);
      } else if (line) one(ctx, heads, arrows && !weak, px[line.from] ?? 0, py[line.from] ?? 0, px[line.to] ?? 0, py[line.to] ?? 0, r);
    }
    ctx.stroke();
    if (arrows && !weak) ctx.fill(heads);
  }
  ctx.setLineDash([]);
}

/** A line bent a little to its left, so that one back is seen beside it; the arrow at its end. */
function one(ctx: CanvasRenderingContext2D, heads: Path2D, head: boolean, ax: number, ay: number, bx: number, by: number, r: number): void {
  const dx = bx - ax;
  const dy = by - ay;
  const length = Math.hypot(dx, dy);
  if (length < 1) {
    // To itself.
    ctx.moveTo(ax + r, ay - r * 0.6);
    ctx.arc(ax + r * 1.1, ay - r * 1.1, r * 0.8, 0.6, 2 * Math.PI - 0.4);
    return;
  }
  const bend = Math.min(24, length * 0.12);
  const cx = (ax + bx) / 2 + (dy / length) * bend;
  const cy = (ay + by) / 2 - (dx / length) * bend;
  // It ends at the rim of the vertex.
  const ex = bx - cx;
  const ey = by - cy;
  const end = Math.hypot(ex, ey) || 1;
  const [ux, uy] = [ex / end, ey / end];
  const [tx, ty] = [bx - ux * (r + 2), by - uy * (r + 2)];
  ctx.moveTo(ax, ay);
  ctx.quadraticCurveTo(cx, cy, tx, ty);
  if (!head || length < 4 * r) return;
  const size = Math.min(8, r);
  heads.moveTo(tx, ty);
  heads.lineTo(tx - ux * size - uy * size * 0.5, ty - uy * size + ux * size * 0.5);
  heads.lineTo(tx - ux * size + uy * size * 0.5, ty - uy * size - ux * size * 0.5);
  heads.closePath();
}

function vertices(
  ctx: CanvasRenderingContext2D, scene: Scene, px: number[], py: number[], r: number,
  width: number, height: number, labels: Labels, k: number,
): void {
  const { model, strong, chosen, hovered, focused } = scene;
  const surface = colour('--surface');
  model.vertices.forEach((vertex, i) => {
    const x = px[i] ?? 0;
    const y = py[i] ?? 0;
    if (x < -80 || x > width + 80 || y < -20 || y > height + 20) return;
    const weak = strong !== undefined && !strong.vertices.has(i);
    const size = vertex.kind === 'namespace' ? r * 1.5 : r;
    const tint = tintOf[vertex.health] ?? '--idle';
    ctx.beginPath();
    outline(ctx, vertex.kind, x, y, size);
    ctx.fillStyle = surface;
    ctx.fill();
    ctx.fillStyle = faded(tint, weak ? 0.05 : vertex.health === 'failing' ? 0.35 : 0.18);
    ctx.fill();
    ctx.strokeStyle = faded(tint, weak ? 0.25 : 1);
    ctx.lineWidth = r > 5 ? 2 : 1.25;
    ctx.setLineDash(vertex.enrolled === 0 && vertex.kind === 'workload' ? [3, 2] : []);
    ctx.stroke();
    ctx.setLineDash([]);
    if (!weak && r > 5) sign(ctx, vertex.health, x, y, size);
    if (i === chosen || i === hovered || i === focused) {
      ctx.beginPath();
      ctx.arc(x, y, size + 5, 0, 2 * Math.PI);
      ctx.strokeStyle = colour(i === focused ? '--focus' : '--accent');
      ctx.lineWidth = i === hovered && i !== chosen ? 1.5 : 2.5;
      ctx.stroke();
    }
    const near = i === chosen || i === hovered || i === focused;
    if (weak && !near) return;
    const rank = near ? 0 : strong ? 1 : vertex.health === 'failing' ? 3 : 10 - Math.min(6, model.touching[i]?.length ?? 0);
    if (near || strong || k > 0.28) {
      labels.add(nameOf(vertex, near), x, y + size + 4, { size: 11, weight: near ? 600 : 400, rank, tint: colour('--ink'), room: 0 });
    }
    labels.block(x - size, y - size, 2 * size, 2 * size);
  });
}

/** Health is a sign too, not only a colour. */
function sign(ctx: CanvasRenderingContext2D, health: string, x: number, y: number, size: number): void {
  if (health !== 'failing' && health !== 'warning') return;
  ctx.fillStyle = colour(tintOf[health] ?? '--ink');
  ctx.font = font(Math.round(size * 1.4), 700);
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillText(health === 'failing' ? '×' : '!', x, y + 0.5);
}

/** A short name beside its namespace's field; whole where it stands alone. */
export function nameOf(vertex: { kind: string; namespace: string; name: string; id: string }, whole: boolean): string {
  const name = vertex.name || vertex.id || vertex.kind;
  const text = seen(whole && vertex.kind !== 'namespace' ? party(vertex.namespace, name) : name);
  const most = whole ? 60 : 22;
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
