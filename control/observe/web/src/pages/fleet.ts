// Sums over the nodes of a fleet. Pure.
import type { NodeCard, NodePoint } from '../api/answers';
import { summed } from '../charts/series';

/** Step by step what all nodes counted; percentiles are the worst of them. */
export function fleetPoints(nodes: readonly NodeCard[]): NodePoint[] {
  return summed(nodes.map((node) => node.points), (a, b) => ({
    ...a,
    opened: a.opened + b.opened,
    closed: a.closed + b.closed,
    failed: a.failed + b.failed,
    refused: a.refused + b.refused,
    sentBytes: a.sentBytes + b.sentBytes,
    receivedBytes: a.receivedBytes + b.receivedBytes,
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    retries: a.retries + b.retries,
    statuses: a.statuses.map((n, i) => n + (b.statuses[i] ?? 0)),
    durationP50Us: Math.max(a.durationP50Us, b.durationP50Us),
    durationP99Us: Math.max(a.durationP99Us, b.durationP99Us),
    latencyP50Us: Math.max(a.latencyP50Us, b.latencyP50Us),
    latencyP90Us: Math.max(a.latencyP90Us, b.latencyP90Us),
    latencyP99Us: Math.max(a.latencyP99Us, b.latencyP99Us),
    cpuPercent: a.cpuPercent + b.cpuPercent,
    residentBytes: a.residentBytes + b.residentBytes,
    descriptors: a.descriptors + b.descriptors,
    handshakes: a.handshakes + b.handshakes,
    handshakeFailures: a.handshakeFailures + b.handshakeFailures,
    connections: a.connections + b.connections,
  }));
}
