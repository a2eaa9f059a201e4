// What is drawn of a mesh: vertices, and one line for all links from one to another. Pure.
import type { Link, Vertex } from '../api/answers';

export interface Line {
  from: number;
  to: number;
  links: Link[];
  /** The worst of its links. */
  health: string;
  /** "mtls", "plain" or "mixed". */
  security: string;
  /** Connections and requests in the window: its weight. */
  load: number;
}

export interface Model {
  vertices: readonly Vertex[];
  lines: readonly Line[];
  index: ReadonlyMap<string, number>;
  /** By vertex: its lines. */
  touching: readonly (readonly number[])[];
}

const badness = ['idle', 'ok', 'warning', 'failing'];

/** The worse of two healths. */
export function worse(a: string, b: string): string {
  return badness.indexOf(a) >= badness.indexOf(b) ? a : b;
}

/** Vertices in an order that does not depend on the answer's, so that equal meshes look equal. */
export function modelOf(vertices: readonly Vertex[], links: readonly Link[]): Model {
  const sorted = [...vertices].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const index = new Map(sorted.map((vertex, i) => [vertex.id, i]));
  const lines = new Map<string, Line>();
  for (const link of links) {
    const from = index.get(link.from);
    const to = index.get(link.to);
    if (from === undefined || to === undefined) continue;
    const key = `${from} ${to}`;
    const load = link.totals.opened + link.totals.requests + link.totals.failed;
    const line = lines.get(key);
    if (line) {
      line.links.push(link);
      line.health = worse(line.health, link.health);
      if (line.security !== link.security) line.security = 'mixed';
      line.load += load;
    } else {
      lines.set(key, { from, to, links: [link], health: link.health, security: link.security, load });
    }
  }
  const all = [...lines.values()];
  const touching: number[][] = sorted.map(() => []);
  all.forEach((line, i) => {
    touching[line.from]?.push(i);
    if (line.to !== line.from) touching[line.to]?.push(i);
  });
  return { vertices: sorted, lines: all, index, touching };
}

/** Which vertices contain all words of `wanted`; undefined where nothing is wanted. */
export function found(model: Model, wanted: string): Set<number> | undefined {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return undefined;
  const hits = new Set<number>();
  model.vertices.forEach((vertex, i) => {
    const text = `${vertex.namespace}/${vertex.name} ${vertex.kind} ${vertex.identity} ${vertex.nodes.join(' ')}`.toLowerCase();
    if (words.every((word) => text.includes(word))) hits.add(i);
  });
  return hits;
}
