// The answers of the HTTP API, version 1: docs/observe.md.
import { certificate, connection, event, incident, origin, pod } from './records';
import { flag, list, num, shape, text, type Of } from './shape';

const totalFields = {
  opened: num,
  closed: num,
  failed: num,
  refused: num,
  sentBytes: num,
  receivedBytes: num,
  requests: num,
  errors: num,
  retries: num,
  statuses: list(num),
  durationP50Us: num,
  durationP99Us: num,
  latencyP50Us: num,
  latencyP90Us: num,
  latencyP99Us: num,
};
export const totals = shape(totalFields);
export type Totals = Of<typeof totals>;

const point = shape({ atMs: num, ...totalFields });
export type Point = Of<typeof point>;

const missing = shape({ node: text, name: text, error: text });
export type Missing = Of<typeof missing>;

/** The part of a window that is older than what proxies keep; without a source there is none. */
const history = shape({ fromMs: num, toMs: num, source: text, error: text });
export type History = Of<typeof history>;

/** What every answer to a window has. */
const windowed = { fromMs: num, toMs: num, stepMs: num, oldestMs: num, missing: list(missing), history };
export type Windowed = {
  fromMs: number;
  toMs: number;
  stepMs: number;
  oldestMs: number;
  missing: Missing[];
  history: History;
};

export const about = shape({
  scope: text,
  version: text,
  cluster: text,
  nowMs: num,
  oldestMs: num,
  resolutionMs: num,
  /** Where what is older than the rings comes from; empty: from nowhere. */
  longer: text,
  origins: list(shape({ ...origin, connectedMs: num, oldestMs: num, error: text })),
});
export type About = Of<typeof about>;

const vertexFields = {
  id: text,
  kind: text,
  namespace: text,
  name: text,
  nodes: list(text),
  pods: num,
  enrolled: num,
  identity: text,
  health: text,
};
const vertex = shape(vertexFields);
export type Vertex = Of<typeof vertex>;

const linkFields = {
  from: text,
  to: text,
  service: text,
  port: num,
  protocol: text,
  security: text,
  identity: text,
  totals,
  health: text,
  policies: list(text),
  failures: list(shape({ failure: text, policy: text, count: num })),
};
const link = shape(linkFields);
export type Link = Of<typeof link>;

export const mesh = shape({ vertices: list(vertex), edges: list(link), ...windowed });

const nodePoint = shape({
  atMs: num,
  ...totalFields,
  cpuPercent: num,
  residentBytes: num,
  descriptors: num,
  handshakes: num,
  handshakeFailures: num,
  connections: num,
});
export type NodePoint = Of<typeof nodePoint>;

const nodeCard = shape({
  name: text,
  ready: flag,
  connectedMs: num,
  version: text,
  pods: num,
  enrolled: num,
  proven: num,
  connections: num,
  edges: num,
  edgeLimit: num,
  diskBytes: num,
  totals,
  cpuPercent: num,
  residentBytes: num,
  descriptors: num,
  handshakesPerSecond: num,
  certificates: num,
  nextExpiryMs: num,
  points: list(nodePoint),
  waypoints: list(text),
});
export type NodeCard = Of<typeof nodeCard>;

export const nodes = shape({ nodes: list(nodeCard), ...windowed });

const process = shape({
  kind: text,
  name: text,
  points: list(
    shape({
      atMs: num,
      cpuPercent: num,
      residentBytes: num,
      descriptors: num,
      handshakes: num,
      handshakeFailures: num,
      connections: num,
    }),
  ),
});
export type Process = Of<typeof process>;

export const node = shape({
  node: nodeCard,
  processes: list(process),
  connections: list(connection),
  incidents: list(incident),
  events: list(event),
  pods: list(pod),
  ...windowed,
});

const workloadRow = shape({
  namespace: text,
  name: text,
  kind: text,
  identity: text,
  pods: num,
  enrolled: num,
  nodes: list(text),
  inbound: totals,
  outbound: totals,
  health: text,
});
export type WorkloadRow = Of<typeof workloadRow>;

export const workloads = shape({ workloads: list(workloadRow), ...windowed });

const heat = shape({ bounds: list(num), steps: list(shape({ atMs: num, counts: list(num) })) });
export type Heat = Of<typeof heat>;

const side = shape({
  totals,
  points: list(point),
  peers: list(shape({ ...linkFields, peer: vertex })),
  heat,
});
export type Side = Of<typeof side>;

const policyRow = shape({
  name: text,
  action: text,
  enforcedBy: text,
  scope: text,
  dryRun: flag,
  allowed: num,
  refused: num,
  points: list(shape({ atMs: num, allowed: num, refused: num })),
});
export type PolicyRow = Of<typeof policyRow>;

export const workload = shape({
  workload: workloadRow,
  pods: list(pod),
  inbound: side,
  outbound: side,
  incidents: list(incident),
  policies: list(policyRow),
  ...windowed,
});

const routeRow = shape({
  name: text,
  rule: text,
  services: list(text),
  totals,
  backends: list(
    shape({ service: text, port: num, weight: num, configured: num, measured: num, totals }),
  ),
});
export type RouteRow = Of<typeof routeRow>;

const waypointRow = shape({
  namespace: text,
  name: text,
  instances: list(shape({ ...origin, ready: flag })),
  totals,
  points: list(point),
  routes: list(routeRow),
});
export type WaypointRow = Of<typeof waypointRow>;

export const waypoints = shape({ waypoints: list(waypointRow), ...windowed });
export const policies = shape({ policies: list(policyRow), refusals: list(incident), ...windowed });
export const certificates = shape({ certificates: list(certificate), ...windowed, nowMs: num });
export const incidents = shape({ incidents: list(incident), dropped: num, ...windowed });
export const events = shape({ events: list(event), ...windowed });
export const connections = shape({ connections: list(connection), ...windowed });
