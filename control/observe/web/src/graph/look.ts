// How lines and vertices look: colour says health, dashes say whether it is mutual TLS.

export interface Stroke {
  tint: string;
  dash: number[];
  width: number;
  opacity: number;
}

export const tintOf: Record<string, string> = {
  ok: '--ok', warning: '--warning', failing: '--failing', idle: '--idle',
};

const securityTint: Record<string, string> = { mtls: '--ok', plain: '--warning', mixed: '--series-4' };

/** Solid is mutual TLS, dashed is plain, dash and dot is both. */
export const dashOf: Record<string, number[]> = { mtls: [], plain: [5, 4], mixed: [9, 3, 2, 3] };

/** `by`: "health" or "security". */
export function strokeOf(by: string, health: string, security: string, load: number, many: boolean): Stroke {
  const bad = health === 'failing' || health === 'warning';
  return {
    tint: by === 'security' ? securityTint[security] ?? '--idle' : tintOf[health] ?? '--idle',
    dash: dashOf[security] ?? [2, 3],
    // A few widths only, so that lines can be drawn together.
    width: health === 'idle' || (many && !bad) ? 1 : load > 10_000 ? 2.5 : load > 500 ? 1.75 : 1.25,
    opacity: health === 'idle' ? 0.5 : !bad ? (many ? 0.3 : by === 'health' ? 0.6 : 0.9) : 0.9,
  };
}

/** The outline of a vertex of this kind, around 0,0. */
export function outline(ctx: Path2D | CanvasRenderingContext2D, kind: string, x: number, y: number, r: number): void {
  if (kind === 'namespace' || kind === 'service') {
    ctx.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  } else if (kind === 'waypoint') {
    polygon(ctx, x, y, r * 1.25, 4, 0);
  } else if (kind === 'external') {
    polygon(ctx, x, y, r * 1.1, 6, 0);
  } else if (kind === 'unknown') {
    polygon(ctx, x, y, r * 1.2, 3, -Math.PI / 2);
  } else {
    ctx.moveTo(x + r, y);
    ctx.arc(x, y, r, 0, 2 * Math.PI);
  }
}

function polygon(ctx: Path2D | CanvasRenderingContext2D, x: number, y: number, r: number, corners: number, turn: number): void {
  for (let i = 0; i < corners; i++) {
    const angle = turn + (i * 2 * Math.PI) / corners;
    const px = x + Math.cos(angle) * r;
    const py = y + Math.sin(angle) * r;
    if (i === 0) ctx.moveTo(px, py);
    else ctx.lineTo(px, py);
  }
  ctx.closePath();
}

