// The golden signals of whatever has totals and points.
import { useMemo } from 'preact/hooks';
import type { Point, Totals } from '../api/answers';
import type { Event } from '../api/records';
import { Chart, type Line } from '../charts/chart';
import { byStep, rates, where, type Grid } from '../charts/series';
import { units } from '../charts/unit';
import { bytes, bytesRate } from '../format/bytes';
import { micros } from '../format/duration';
import { count, percent, rate } from '../format/number';
import { Tile, Tiles } from '../parts/tile';

/** The part of connections that failed, and of requests that got no answer or 5xx. */
export function failedPart(totals: Totals): number {
  const connections = totals.opened + totals.failed > 0 ? totals.failed / Math.max(totals.opened, totals.failed) : 0;
  const requests = totals.requests > 0 ? totals.errors / totals.requests : 0;
  return Math.min(1, Math.max(connections, requests));
}

function tone(part: number): 'failing' | 'warning' | undefined {
  if (part >= 0.05) return 'failing';
  return part > 0 ? 'warning' : undefined;
}

export function GoldenTiles({ of, seconds, label }: { of: Totals; seconds: number; label: string }) {
  const refusedTone = of.refused > 0 ? 'warning' : undefined;
  return (
    <Tiles label={label}>
      {of.requests > 0 && <Tile label="Requests" value={rate(of.requests / seconds)} note={`${count(of.requests)} in all`} />}
      {of.requests > 0 && (
        <Tile label="Errors" value={percent(of.errors / of.requests)} note={`${count(of.errors)} of 5xx or none`} {...toned(of.errors / of.requests)} />
      )}
      {of.requests > 0 && <Tile label="Latency, p50" value={micros(of.latencyP50Us)} note={`p99 ${micros(of.latencyP99Us)}`} />}
      <Tile label="Connections" value={rate(of.opened / seconds)} note={`${count(of.opened)} in all`} />
      <Tile label="Failed" value={count(of.failed)} note={`${percent(of.failed / Math.max(1, of.opened, of.requests, of.failed))} of all`} {...toned(of.failed / Math.max(1, of.opened, of.requests, of.failed))} />
      <Tile label="Refused" value={count(of.refused)} note="by policy" {...(refusedTone ? { tone: refusedTone } : {})} />
      <Tile label="Sent" value={bytesRate(of.sentBytes / seconds)} note={bytes(of.sentBytes)} />
      <Tile label="Received" value={bytesRate(of.receivedBytes / seconds)} note={bytes(of.receivedBytes)} />
    </Tiles>
  );
}

function toned(part: number): { tone?: 'failing' | 'warning' } {
  const found = tone(part);
  return found ? { tone: found } : {};
}

export function useLines(make: () => Line[], on: unknown[]): Line[] {
  return useMemo(make, on);
}

interface Of {
  id: string;
  points: readonly Point[];
  grid: Grid;
  events: readonly Event[];
}

export function ConnectionsChart({ id, points, grid, events }: Of) {
  const lines = useLines(() => [
    { label: 'opened', tint: '--series-1', values: rates(grid, points, (p) => p.opened), fill: true },
    { label: 'failed', tint: '--failing', values: rates(grid, points, (p) => p.failed), dash: [6, 3] },
    { label: 'refused', tint: '--warning', values: rates(grid, points, (p) => p.refused), dash: [2, 2] },
  ], [points, grid]);
  return <Chart id={`${id}connections`} title="Connections" unit={units.connections} lines={lines} grid={grid} events={events} />;
}

export function ThroughputChart({ id, points, grid, events }: Of) {
  const lines = useLines(() => [
    { label: 'sent', tint: '--series-1', values: rates(grid, points, (p) => p.sentBytes), fill: true },
    { label: 'received', tint: '--series-2', values: rates(grid, points, (p) => p.receivedBytes), dash: [6, 3] },
  ], [points, grid]);
  return <Chart id={`${id}throughput`} title="Throughput" unit={units.bytesRate} lines={lines} grid={grid} events={events} />;
}

export function RequestsChart({ id, points, grid, events }: Of) {
  const lines = useLines(() => [
    { label: 'requests', tint: '--series-1', values: rates(grid, points, (p) => p.requests), fill: true },
    { label: '4xx', tint: '--series-4', values: rates(grid, points, (p) => p.statuses[4] ?? 0), dash: [2, 2] },
    { label: '5xx', tint: '--failing', values: rates(grid, points, (p) => p.errors), dash: [6, 3] },
    { label: 'retries', tint: '--series-3', values: rates(grid, points, (p) => p.retries), dash: [8, 2, 2, 2] },
  ], [points, grid]);
  return <Chart id={`${id}requests`} title="Requests" unit={units.requests} lines={lines} grid={grid} events={events} />;
}

export function ErrorsChart({ id, points, grid, events }: Of) {
  const lines = useLines(() => {
    const part = (n: (p: Point) => number, of: (p: Point) => number) =>
      byStep(grid, points, (p) => (of(p) > 0 ? Math.min(1, n(p) / of(p)) : null), null);
    const connections: Line = { label: 'connections failed', tint: '--series-1', values: part((p) => p.failed, (p) => Math.max(p.opened, p.failed)) };
    if (!points.some((p) => p.requests > 0)) return [connections];
    return [
      connections,
      { label: 'requests in error', tint: '--failing', values: part((p) => p.errors, (p) => p.requests), dash: [6, 3] },
    ];
  }, [points, grid]);
  return <Chart id={`${id}errors`} title="Errors" unit={units.part} lines={lines} grid={grid} events={events} />;
}

/** Latency of requests; of connections their duration, where there are no requests. */
export function LatencyChart({ id, points, grid, events }: Of) {
  const requests = points.some((p) => p.requests > 0);
  const lines = useLines(() => (requests
    ? [
      { label: 'p50', tint: '--series-1', values: where(grid, points, (p) => p.latencyP50Us) },
      { label: 'p90', tint: '--series-2', values: where(grid, points, (p) => p.latencyP90Us), dash: [6, 3] },
      { label: 'p99', tint: '--series-3', values: where(grid, points, (p) => p.latencyP99Us), dash: [2, 2] },
    ]
    : [
      { label: 'p50', tint: '--series-1', values: where(grid, points, (p) => p.durationP50Us) },
      { label: 'p99', tint: '--series-3', values: where(grid, points, (p) => p.durationP99Us), dash: [2, 2] },
    ]), [points, grid]);
  return <Chart id={`${id}latency`} title={requests ? 'Latency of requests' : 'Duration of connections'} unit={units.micros} lines={lines} grid={grid} events={events} />;
}
