// Where vertices lie. Pure and repeatable: equal graphs get equal places.
import { separate } from './separate';
import {
  forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY,
  type SimulationLinkDatum, type SimulationNodeDatum,
} from 'd3-force';

export interface Place {
  x: number;
  y: number;
}

export interface Task {
  /** By vertex: the group that it lies with, and where it lies already. */
  vertices: readonly { group: string; at?: Place | undefined }[];
  edges: readonly (readonly [number, number])[];
}

interface Body extends SimulationNodeDatum {
  group: number;
  rank: number;
}

const SPACE = 46;

/** Places all vertices; those that lie already stay where they are. */
export function layout({ vertices, edges }: Task): Place[] {
  const names = [...new Set(vertices.map((vertex) => vertex.group))].sort();
  const of = vertices.map((vertex) => names.indexOf(vertex.group));
  const ranks = rankOf(vertices.length, edges);
  const few = vertices.length <= 60;
  const means = meanRanks(names.length, of, ranks);
  const centres = groupCentres(names.length, of, edges, few ? means : undefined);
  const kept = vertices.filter((vertex) => vertex.at).length;
  const seats = seating(of, names.length);
  const bodies = vertices.map((vertex, i): Body => {
    const group = of[i] as number;
    const centre = centres[group] as Place;
    const seat = seats[i] as Place;
    const start = vertex.at ?? besides(i, vertices, edges) ?? { x: centre.x + seat.x, y: centre.y + seat.y };
    return { group, rank: ranks[i] ?? 0, x: start.x, y: start.y, ...(vertex.at ? { fx: vertex.at.x, fy: vertex.at.y } : {}) };
  });
  const simulation = forceSimulation(bodies)
    .force('link', forceLink<Body, SimulationLinkDatum<Body>>(edges.map(([source, target]) => ({ source, target })))
      .distance((link) => ((link.source as Body).group === (link.target as Body).group ? SPACE * 1.9 : SPACE * 3))
      .strength((link) => ((link.source as Body).group === (link.target as Body).group ? 0.12 : 0.01)))
    .force('charge', forceManyBody<Body>().strength(few ? -320 : -120).distanceMax(SPACE * 8).theta(1))
    .force('apart', forceCollide<Body>(SPACE * (few ? 0.95 : 0.6)).iterations(2))
    // Callers to the left, called to the right, as one reads.
    .force('x', forceX<Body>((body) => (centres[body.group] as Place).x + (few ? (body.rank - (means[body.group] ?? 0)) * SPACE * 1.8 : 0)).strength(few ? 0.22 : 0.11))
    .force('y', forceY<Body>((body) => (centres[body.group] as Place).y).strength(0.13))
    .stop();
  const ticks = kept > 0 ? 60 : few ? 300 : 140;
  simulation.alphaDecay(1 - 0.001 ** (1 / ticks)).tick(ticks);
  const places = bodies.map((body) => ({ x: body.x ?? 0, y: body.y ?? 0 }));
  if (kept === 0) separate(places, of, names.length, SPACE);
  return places;
}

/** How deep a group lies: the mean of its members. */
function meanRanks(groups: number, of: readonly number[], ranks: readonly number[]): number[] {
  const sums = Array.from({ length: groups }, () => [0, 0] as [number, number]);
  of.forEach((group, i) => {
    const sum = sums[group] as [number, number];
    sum[0] += ranks[i] ?? 0;
    sum[1] += 1;
  });
  return sums.map(([sum, n]) => sum / Math.max(1, n));
}

/** Centres of groups, so far apart that their members do not mix; wider than high, as screens are. */
function groupCentres(groups: number, of: readonly number[], edges: Task['edges'], ranks: readonly number[] | undefined): Place[] {
  const sizes = new Array<number>(groups).fill(0);
  for (const group of of) sizes[group] = (sizes[group] ?? 0) + 1;
  const between = new Map<string, number>();
  for (const [from, to] of edges) {
    const pair = [of[from] ?? 0, of[to] ?? 0];
    if (pair[0] !== pair[1]) between.set(pair.join(' '), (between.get(pair.join(' ')) ?? 0) + 1);
  }
  const bodies = sizes.map((size): SimulationNodeDatum & { size: number } => ({ size: SPACE * (0.9 + 0.72 * Math.sqrt(size)) }));
  const links = [...between].map(([pair, n]) => {
    const [source = 0, target = 0] = pair.split(' ').map(Number);
    return { source, target, n };
  });
  forceSimulation(bodies)
    .force('link', forceLink(links).distance(SPACE * 2).strength((link) => Math.min(0.3, 0.02 * (link as { n: number }).n)))
    .force('apart', forceCollide<SimulationNodeDatum & { size: number }>((body) => body.size).iterations(3))
    // Callers to the left, called to the right, where so few groups leave room for an order.
    .force('x', forceX((_, i) => (ranks?.[i] ?? 0) * SPACE * 4).strength(ranks ? 0.2 : 0.022))
    .force('y', forceY(0).strength(ranks ? 0.075 : 0.1))
    .stop()
    .tick(300);
  return bodies.map((body) => ({ x: body.x ?? 0, y: body.y ?? 0 }));
}

/** Where the members of a group begin: on a sunflower around its centre. */
function seating(of: readonly number[], groups: number): Place[] {
  const taken = new Array<number>(groups).fill(0);
  return of.map((group) => {
    const seat = taken[group] ?? 0;
    taken[group] = seat + 1;
    const angle = seat * Math.PI * (3 - Math.sqrt(5));
    const radius = SPACE * 0.62 * Math.sqrt(seat + 0.2);
    return { x: Math.cos(angle) * radius, y: Math.sin(angle) * radius };
  });
}

/** Beside a neighbour that lies already. */
function besides(i: number, vertices: Task['vertices'], edges: Task['edges']): Place | undefined {
  const edge = edges.find(([from, to]) => (from === i && vertices[to]?.at) || (to === i && vertices[from]?.at));
  const at = edge && vertices[edge[0] === i ? edge[1] : edge[0]]?.at;
  return at && { x: at.x + SPACE, y: at.y + ((i % 7) - 3) * SPACE * 0.3 };
}

/** How many calls deep each vertex lies; edges that lead back to a caller do not count. */
export function rankOf(count: number, edges: Task['edges']): number[] {
  const out: number[][] = Array.from({ length: count }, () => []);
  const into = new Array<number>(count).fill(0);
  for (const [from, to] of edges) {
    if (from === to) continue;
    out[from]?.push(to);
    into[to] = (into[to] ?? 0) + 1;
  }
  const rank = new Array<number>(count).fill(0);
  const state = new Array<number>(count).fill(0);
  const order: number[] = [];
  const roots = [...into.keys()].sort((a, b) => (into[a] ?? 0) - (into[b] ?? 0) || a - b);
  for (const root of roots) {
    if (state[root]) continue;
    // Depth first without recursion: a path may be as long as the graph is large.
    const path: [number, number][] = [[root, 0]];
    state[root] = 1;
    while (path.length > 0) {
      const top = path[path.length - 1] as [number, number];
      const next = out[top[0]]?.[top[1]++];
      if (next === undefined) {
        state[top[0]] = 2;
        order.push(top[0]);
        path.pop();
      } else if (!state[next]) {
        state[next] = 1;
        path.push([next, 0]);
      }
    }
  }
  const at = new Map(order.map((vertex, i) => [vertex, i]));
  for (const from of order.reverse()) {
    for (const to of out[from] ?? []) {
      // Forward edges end before they begin in this order.
      if ((at.get(to) ?? 0) < (at.get(from) ?? 0)) rank[to] = Math.max(rank[to] ?? 0, (rank[from] ?? 0) + 1);
    }
  }
  return rank;
}
