// What the edges of dev/world.mjs carried: a function of the time, so that the past stays the same.
import { dice } from './world.mjs';

/** What one edge counted from `atMs` on, for `stepMs`. */
export function counted(edge, atMs, stepMs) {
  const roll = dice(edge.seed * 7919 + Math.floor(atMs / 10_000));
  const slow = 1 + 0.35 * Math.sin(atMs / 900_000 + edge.seed) + 0.15 * Math.sin(atMs / 120_000 + edge.seed * 3);
  const wave = Math.max(0, slow + (roll() - 0.5) * 0.2);
  const n = edge.rate * wave * (stepMs / 1000);
  const whole = Math.floor(n) + (roll() < n % 1 ? 1 : 0);
  // What is bad is so in spells, except where all is refused.
  const spell = edge.bad === 1 ? 1 : Math.sin(atMs / 400_000 + edge.seed) > 0 ? 1.6 : 0.2;
  const bad = edge.bad === 1 ? whole : Math.min(whole, Math.round(n * edge.bad * spell + roll() * 0.4 * (edge.bad > 0 ? 1 : 0)));
  const http = edge.waypoint !== undefined && edge.bad < 1;
  const opened = http ? Math.ceil(whole / 8) : whole;
  const base = 900 * (1 + (edge.seed % 9)) * (1 + 0.4 * Math.sin(atMs / 700_000));
  const refused = edge.failure === 'DENY' ? bad : 0;
  const errors = http ? bad : 0;
  return {
    opened, closed: opened, failed: http ? 0 : bad, refused, sentBytes: whole * 640, receivedBytes: whole * (1800 + 977 * (edge.seed % 7)),
    requests: http ? whole : 0, errors, retries: http ? Math.floor(bad / 2) : 0,
    statuses: http ? [0, 0, whole - bad - Math.floor(whole * 0.03), 0, Math.floor(whole * 0.03), bad] : [],
    durationP50Us: base * 12, durationP99Us: base * 160, latencyP50Us: http ? base : 0, latencyP90Us: http ? base * 2.4 : 0, latencyP99Us: http ? base * (6 + 2 * wave) : 0,
  };
}

const peaks = ['durationP50Us', 'durationP99Us', 'latencyP50Us', 'latencyP90Us', 'latencyP99Us'];

export function add(a, b) {
  const sum = {};
  for (const key of Object.keys(b)) {
    if (key === 'statuses') sum[key] = [0, 1, 2, 3, 4, 5].map((i) => (a[key]?.[i] ?? 0) + (b[key]?.[i] ?? 0));
    else sum[key] = peaks.includes(key) ? Math.max(a[key] ?? 0, b[key]) : (a[key] ?? 0) + b[key];
  }
  return sum;
}

/** The totals of edges in a window, and their points. */
export function summed(edges, { from, to, step }) {
  const points = [];
  let totals = {};
  for (let at = from; at < to; at += step) {
    const passed = Math.min(step, Date.now() - at);
    if (passed <= 0) break;
    let point = {};
    for (const edge of edges) point = add(point, counted(edge, at, passed));
    points.push({ atMs: at, ...point });
    totals = add(totals, point);
  }
  return { totals, points };
}

/** Only the totals, in few steps: for many edges. */
export function total(edge, { from, to }) {
  const step = Math.max(10_000, (to - from) / 6);
  return summed([edge], { from, to: Math.min(to, Date.now()), step }).totals;
}

export function healthOf({ opened = 0, failed = 0, requests = 0, errors = 0 }) {
  const part = Math.max(failed / Math.max(1, opened, failed), errors / Math.max(1, requests));
  if (opened + requests + failed === 0) return 'idle';
  return part >= 0.05 ? 'failing' : part > 0 ? 'warning' : 'ok';
}

/** Latencies as a map of time and duration. */
export function heat(edges, window) {
  const bounds = Array.from({ length: 18 }, (_, i) => 250 * 2 ** i);
  const steps = [];
  for (let at = window.from; at < Math.min(window.to, Date.now()); at += window.step) {
    const counts = new Array(bounds.length + 1).fill(0);
    for (const edge of edges) {
      const one = counted(edge, at, window.step);
      const n = one.requests || one.opened;
      const middle = Math.log2((one.latencyP50Us || one.durationP50Us) / 250);
      for (let i = 0; i < counts.length; i++) counts[i] += Math.round(n * 0.4 * Math.exp(-((i - middle - 0.5) ** 2) / 1.6) + n * 0.012 * Math.exp(-((i - middle - 4) ** 2) / 3));
    }
    steps.push({ atMs: at, counts });
  }
  return { bounds, steps };
}
