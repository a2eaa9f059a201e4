// The records of control/observe/proto/observe.proto that pages read.
import { flag, list, num, shape, text, type Of } from './shape';

const party = shape({ namespace: text, workload: text, identity: text });

export const edgeKey = shape({
  reporter: text,
  source: party,
  destination: party,
  service: text,
  port: num,
  protocol: text,
  security: text,
  policy: text,
  failure: text,
  waypoint: text,
  route: text,
  rule: text,
  backend: text,
});
export type EdgeKey = Of<typeof edgeKey>;

export const incident = shape({
  atMs: num,
  key: edgeKey,
  sourcePod: text,
  destinationPod: text,
  sourceAddress: text,
  destinationAddress: text,
  error: text,
  hop: text,
  durationUs: num,
  sentBytes: num,
  receivedBytes: num,
  method: text,
  path: text,
  authority: text,
  status: num,
  requestId: text,
  node: text,
});
export type Incident = Of<typeof incident>;

export const event = shape({ atMs: num, kind: text, level: text, subject: text, text, node: text });
export type Event = Of<typeof event>;

export const connection = shape({
  id: num,
  beganMs: num,
  key: edgeKey,
  sourcePod: text,
  destinationPod: text,
  sourceAddress: text,
  destinationAddress: text,
  sentBytes: num,
  receivedBytes: num,
  sentRate: num,
  receivedRate: num,
  node: text,
});
export type Connection = Of<typeof connection>;

export const pod = shape({
  namespace: text,
  name: text,
  identity: text,
  addresses: list(text),
  workload: text,
  state: text,
  proof: text,
  provedMs: num,
  node: text,
});
export type Pod = Of<typeof pod>;

export const certificate = shape({
  identity: text,
  serial: text,
  notBeforeMs: num,
  notAfterMs: num,
  state: text,
  error: text,
  node: text,
  kind: text,
  authority: flag,
});
export type Certificate = Of<typeof certificate>;

export const origin = {
  node: text,
  kind: text,
  name: text,
  namespace: text,
  gateway: text,
  version: text,
  startedMs: num,
};
