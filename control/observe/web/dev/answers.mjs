// The answers of the API (docs/observe.md) about dev/world.mjs.
import { counted, healthOf, heat, summed, total } from './counters.mjs';
import { dice } from './world.mjs';

const HOUR = 3_600_000;
const started = Date.now() - 5.2 * HOUR;

export function answers(world) {
  const keep = started;
  const nodeOf = (edge) => edge.source.nodes[0] ?? edge.target.nodes[0] ?? world.nodes[0];
  const filtered = (query) => world.edges.filter((edge) => {
    const either = (wanted, ...values) => !wanted || values.some((value) => (wanted.endsWith('*') ? value.startsWith(wanted.slice(0, -1)) : value === wanted));
    return either(query.namespace, edge.source.namespace, edge.target.namespace) && either(query.workload, edge.source.name, edge.target.name)
      && either(query.service, edge.service, edge.target.name, edge.target.id) && either(query.identity, edge.source.identity, edge.target.identity)
      && either(query.policy, edge.policy) && either(query.node, ...edge.source.nodes, ...edge.target.nodes)
      && either(query.waypoint, edge.waypoint ?? '') && (!query.failed || edge.bad > 0);
  });
  const link = (edge, window) => {
    const totals = total(edge, window);
    return {
      from: edge.source.id, to: edge.target.id, service: edge.service, port: edge.port, protocol: edge.protocol, security: edge.security,
      identity: edge.source.identity, totals, health: healthOf(totals), policies: edge.policy ? [edge.policy] : [],
      failures: totals.failed + totals.errors > 0 ? [{ failure: edge.failure, policy: edge.failure === 'DENY' ? edge.policy : '', count: totals.failed + totals.errors }] : [],
    };
  };
  const vertex = (one, health) => ({
    id: one.id, kind: one.id === 'external' ? 'external' : 'workload', namespace: one.namespace, name: one.name || 'outside', nodes: one.nodes, pods: one.pods,
    enrolled: one.namespace === 'data' && one.name === 'exporter' ? 0 : one.pods, identity: one.identity, health,
  });
  const incidentsOf = (edges, { from, to }, most = 60) => {
    const found = [];
    for (const edge of edges.filter((one) => one.bad > 0)) {
      for (let at = Math.floor(Math.min(to, Date.now()) / 20_000) * 20_000; at > Math.max(from, keep) && found.length < 4000; at -= 20_000) {
        if (dice(edge.seed + at / 20_000)() < Math.min(0.9, edge.rate * edge.bad * 8)) found.push(incident(edge, at + (edge.seed * 997) % 19_000, world));
        if (found.length > most * 4) break;
      }
    }
    return found.filter((one) => one.atMs >= from && one.atMs < to && one.atMs < Date.now()).sort((a, b) => b.atMs - a.atMs).slice(0, most);
  };
  const eventsOf = ({ from, to }, query = {}) => {
    const found = [];
    for (let at = Math.floor(from / 90_000) * 90_000; at < Math.min(to, Date.now()); at += 90_000) {
      if (at < keep) continue;
      const roll = dice(at / 90_000);
      if (roll() < 0.45) found.push(event(world, at, roll));
    }
    return found.filter((one) => !query.node || one.node === query.node).sort((a, b) => b.atMs - a.atMs).slice(0, 500);
  };
  const costs = (seed, window, load) => {
    const points = [];
    for (let at = window.from; at < Math.min(window.to, Date.now()); at += window.step) {
      if (at < keep) continue;
      const roll = dice(seed * 31 + Math.floor(at / 10_000));
      points.push({ atMs: at, cpuPercent: load * (1.2 + 0.4 * Math.sin(at / 500_000) + roll() * 0.3), residentBytes: 21e6 + seed % 9 * 1e6 + 2e6 * Math.sin(at / 2_000_000), descriptors: 180 + Math.round(30 * roll()), handshakes: Math.round(load * window.step / 1000 * (0.8 + roll() * 0.4)), handshakeFailures: roll() < 0.05 ? 1 : 0, connections: Math.round(90 * load * (0.9 + roll() * 0.2)) });
    }
    return points;
  };
  const card = (name, window) => {
    const at = world.nodes.indexOf(name);
    const edges = world.edges.filter((edge) => nodeOf(edge) === name);
    const { totals, points } = summed(edges, window);
    const load = 1 + (at % 5) * 0.4;
    const cost = costs(at + 1, window, load);
    const last = cost.at(-1) ?? {};
    const pods = world.workloads.filter((one) => one.nodes.includes(name)).length;
    return {
      name, ready: at !== 41, connectedMs: at === 41 ? 0 : started, version: '0.9.0', pods: pods + 3, enrolled: pods, proven: at === 1 ? pods - 1 : pods,
      connections: last.connections ?? 0, edges: edges.length, edgeLimit: 10_000, diskBytes: 1.8e6 + at * 3e5, totals, cpuPercent: last.cpuPercent ?? 0,
      residentBytes: last.residentBytes ?? 0, descriptors: last.descriptors ?? 0, handshakesPerSecond: load, certificates: pods, nextExpiryMs: Date.now() + (9 + at) * HOUR,
      points: points.map((point) => ({ ...point, ...cost.find((one) => one.atMs === point.atMs) })), waypoints: world.waypoints.filter((one) => one.node === name).map((one) => `${one.namespace}/${one.name}`),
    };
  };
  const pods = (of) => of.flatMap((one) => Array.from({ length: one.pods }, (_, i) => ({
    namespace: one.namespace, name: `${one.name}-7d9f${i}`, identity: one.identity, addresses: [`10.244.${i}.${17 + one.name.length}`], workload: one.name, state: 'enrolled',
    proof: one.name === 'labels' ? '' : 'proved', provedMs: started + 60_000, node: one.nodes[i % one.nodes.length],
  })));
  const connections = (edges) => edges.slice(0, 40).map((edge, i) => ({
    id: i + 1, beganMs: Date.now() - 1000 * (5 + i * 37), key: key(edge, ''), sourcePod: `${edge.source.name}-7d9f0`, destinationPod: `${edge.target.name}-7d9f0`,
    sourceAddress: '10.244.0.17:41234', destinationAddress: `10.244.1.9:${edge.port}`, sentBytes: 40_000 * (i + 1) + (Date.now() % 100_000), receivedBytes: 900_000 * (i + 1), sentRate: Math.round(edge.rate * 640), receivedRate: Math.round(edge.rate * 2400 * (1 + Math.sin(Date.now() / 3000 + i) * 0.2)), node: nodeOf(edge),
  })).sort((a, b) => b.receivedRate - a.receivedRate);
  const policyRows = (edges, window, all = true) => world.policies.filter((one) => all || edges.some((edge) => edge.policy === one.name)).map((one) => {
    const of = edges.filter((edge) => edge.policy === one.name);
    const { totals, points } = summed(of, window);
    return { ...one, allowed: (totals.opened ?? 0) - (totals.refused ?? 0), refused: totals.refused ?? 0, points: points.map((point) => ({ atMs: point.atMs, allowed: (point.opened ?? 0) - (point.refused ?? 0), refused: point.refused ?? 0 })) };
  });
  const side = (edges, window, end) => ({
    ...summed(edges, window),
    peers: edges.map((edge) => ({ ...link(edge, window), peer: vertex(edge[end], 'ok') })),
    heat: heat(edges, window),
  });
  const row = (one, window) => {
    const inbound = summed(world.edges.filter((edge) => edge.target === one), { ...window, step: Math.max(10_000, (window.to - window.from) / 4) }).totals;
    const outbound = summed(world.edges.filter((edge) => edge.source === one), { ...window, step: Math.max(10_000, (window.to - window.from) / 4) }).totals;
    return { namespace: one.namespace, name: one.name, kind: 'Deployment', identity: one.identity, pods: one.pods, enrolled: one.pods, nodes: one.nodes, inbound, outbound, health: healthOf(inbound) };
  };

  return {
    incident: (edge) => incident(edge, Date.now(), world),
    event: () => event(world, Date.now(), dice(Date.now())),
    about: (scope) => ({
      scope, version: '0.9.0', cluster: 'kind-ambit', nowMs: Date.now(), oldestMs: keep, resolutionMs: 10_000,
      origins: world.nodes.slice(0, scope === 'node' ? 1 : undefined).map((node) => ({ node, kind: 'ztunnel', name: `ztunnel-${node}`, version: '0.9.0', startedMs: started, connectedMs: started, oldestMs: keep })),
    }),
    oldestMs: keep,
    mesh: (window, query) => {
      const links = filtered(query).map((edge) => link(edge, window));
      const key = (one) => (query.group === 'namespace' ? one.namespace || 'external' : one.id);
      const ends = new Map();
      for (const edge of filtered(query)) for (const one of [edge.source, edge.target]) {
        const known = ends.get(key(one));
        if (query.group === 'namespace' && one.namespace) ends.set(key(one), { id: one.namespace, kind: 'namespace', namespace: one.namespace, name: one.namespace, nodes: one.nodes, pods: (known?.pods ?? 0) + one.pods, enrolled: (known?.pods ?? 0) + one.pods });
        else ends.set(key(one), query.group === 'service' && one.namespace ? { ...vertex(one, 'ok'), kind: 'service' } : vertex(one, 'ok'));
      }
      const rank = ['idle', 'ok', 'warning', 'failing'];
      const worst = new Map();
      for (const one of links) worst.set(one.to, rank[Math.max(rank.indexOf(worst.get(one.to) ?? 'idle'), rank.indexOf(one.health))]);
      const of = new Map([...world.workloads, { id: 'external', namespace: '' }].map((one) => [one.id, key(one)]));
      for (const [id, one] of ends) one.health = query.group === 'namespace' ? rank[Math.max(0, ...world.workloads.filter((w) => w.namespace === id).map((w) => rank.indexOf(worst.get(w.id) ?? 'idle')))] : worst.get(id) ?? 'idle';
      return { vertices: [...ends.values()], edges: links.map((one) => ({ ...one, from: of.get(one.from), to: of.get(one.to) })) };
    },
    nodes: (window, query) => ({ nodes: world.nodes.filter((name) => !query.node || query.node === name).map((name) => card(name, window)) }),
    node: (window, query, name) => {
      if (!world.nodes.includes(name)) return undefined;
      const at = world.nodes.indexOf(name) + 1;
      const edges = filtered({ ...query, node: name });
      return {
        node: card(name, window), processes: [{ kind: 'ztunnel', name: `ztunnel-${name}`, points: costs(at, window, 1.4) }, ...world.waypoints.filter((one) => one.node === name).map((one) => ({ kind: 'waypoint', name: `${one.namespace}/${one.name}-5c8b`, points: costs(at + 40, window, 0.8) }))],
        connections: connections(edges), incidents: incidentsOf(edges, window), events: eventsOf(window, { node: name }), pods: pods(world.workloads.filter((one) => one.nodes.includes(name))).filter((pod) => pod.node === name),
      };
    },
    workloads: (window, query) => ({ workloads: [...new Set(filtered(query).flatMap((edge) => [edge.source, edge.target]))].filter((one) => one.namespace && (!query.namespace || one.namespace === query.namespace)).map((one) => row(one, window)) }),
    workload: (window, query, namespace, name) => {
      const one = world.workloads.find((of) => of.namespace === namespace && of.name === name);
      if (!one) return undefined;
      const into = filtered(query).filter((edge) => edge.target === one);
      const out = filtered(query).filter((edge) => edge.source === one);
      return { workload: row(one, window), pods: pods([one]), inbound: side(into, window, 'source'), outbound: side(out, window, 'target'), incidents: incidentsOf([...into, ...out], window), policies: policyRows(into, window, false) };
    },
    waypoints: (window, query) => ({
      waypoints: world.waypoints.filter((one) => !query.waypoint || query.waypoint === `${one.namespace}/${one.name}`).map((one) => {
        const edges = world.edges.filter((edge) => edge.waypoint === `${one.namespace}/${one.name}`);
        const first = edges[0];
        const split = first ? summed([first], window).totals : {};
        return {
          namespace: one.namespace, name: one.name, instances: [{ node: one.node, kind: 'waypoint', name: `waypoint-5c8b-${one.namespace}`, namespace: one.namespace, gateway: one.name, version: '0.9.0', startedMs: started, ready: true }],
          ...summed(edges, window),
          routes: first ? [{
            name: `HTTPRoute ${one.namespace}/canary`, rule: 'rule 1', services: [first.service], totals: split,
            backends: [['', 90, 0.9, one.namespace === 'pay' ? 0.7 : 0.903], ['-canary', 10, 0.1, one.namespace === 'pay' ? 0.3 : 0.097]].map(([end, weight, configured, measured]) => ({ service: first.service.replace('.', `${end}.`), port: first.port, weight, configured, measured, totals: { ...split, requests: Math.round(split.requests * measured), errors: Math.round(split.errors * measured) } })),
          }] : [],
        };
      }),
    }),
    policies: (window, query) => ({ policies: policyRows(filtered(query), window), refusals: incidentsOf(filtered(query).filter((edge) => edge.failure === 'DENY'), window) }),
    certificates: (_, query) => ({
      nowMs: Date.now(),
      certificates: [
        { identity: 'Ambit root CA', serial: '01', notBeforeMs: started - 40 * 24 * HOUR, notAfterMs: started + 3600 * 24 * HOUR, state: 'valid', kind: 'control', authority: true },
        ...world.workloads.flatMap((one, i) => one.nodes.map((node) => ({
          identity: one.identity, serial: (0x5a3c * (i + 11) ** 3).toString(16).padStart(16, '0'), notBeforeMs: Date.now() - (i % 11) * HOUR, notAfterMs: Date.now() + (i === 4 ? -HOUR : (24 - (i % 11)) * HOUR), state: i === 7 ? 'failed' : 'valid', error: i === 7 ? 'control refused: account pay/ledger is not of this node' : '', node, kind: 'ztunnel',
        }))),
      ].filter((one) => (!query.node || one.node === query.node) && (!query.identity || one.identity === query.identity)),
    }),
    incidents: (window, query) => ({ incidents: incidentsOf(filtered(query), window, 500), dropped: 0 }),
    events: (window, query) => ({ events: eventsOf(window, query) }),
    connections: (_, query) => ({ connections: connections(filtered(query)) }),
    deniable: world.edges.filter((edge) => edge.bad > 0),
    counted,
  };
}

function key(edge, failure) {
  const side = (one) => ({ namespace: one.namespace, workload: one.name, identity: one.identity });
  return { reporter: 'destination', source: side(edge.source), destination: side(edge.target), service: edge.service, port: edge.port, protocol: edge.protocol, security: edge.security, policy: failure === 'DENY' ? edge.policy : '', failure, waypoint: edge.waypoint };
}

function incident(edge, atMs, world) {
  const http = edge.waypoint !== undefined && edge.failure !== 'DENY';
  return {
    atMs, key: key(edge, edge.failure), sourcePod: `${edge.source.name}-7d9f0`, destinationPod: `${edge.target.name}-7d9f0`, sourceAddress: '10.244.0.17:41234', destinationAddress: `10.244.1.9:${edge.port}`,
    error: edge.failure === 'DENY' ? `policy ${edge.policy} denies ${edge.source.identity}` : `no answer from 10.244.1.9:${edge.port} within 5 s`, hop: http ? 'waypoint' : 'destination ztunnel',
    durationUs: edge.failure === 'DENY' ? 740 : 5_000_000, ...(http ? { method: 'GET', path: world.hostile ? '/<script>alert(1)</script>\u202E' : '/v1/items', authority: edge.service.split('/')[1], status: 503, requestId: atMs.toString(36) } : {}),
    node: edge.target.nodes[0],
  };
}

const kinds = [
  ['certificate', 'info', (w) => `spiffe ${w.namespace}/${w.name}`, 'renewed, 24 h'],
  ['enrolled', 'info', (w) => `Pod ${w.namespace}/${w.name}-7d9f0`, 'captured and proved in 84 ms'],
  ['policy', 'info', (w) => `AuthorizationPolicy ${w.namespace}/allow-${w.name}`, 'in force'],
  ['configuration', 'info', () => 'mesh', 'a new snapshot of 214 objects'],
  ['disconnected', 'warning', (w, node) => `ztunnel on ${node}`, 'control is away; what was known stays in force'],
  ['connected', 'info', (w, node) => `ztunnel on ${node}`, 'connected to control'],
  ['limit', 'error', (w, node) => `ztunnel on ${node}`, 'edges beyond 10,000 are folded'],
  ['waypoint', 'info', (w) => `Gateway ${w.namespace}/waypoint`, 'ready'],
];

function event(world, atMs, roll) {
  const [kind, level, subject, text] = kinds[Math.floor(roll() ** 1.6 * kinds.length)];
  const of = world.workloads[Math.floor(roll() * world.workloads.length)];
  const node = of.nodes[0];
  return { atMs: atMs + Math.floor(roll() * 60_000) * (Date.now() - atMs > 90_000 ? 1 : 0), kind, level, subject: subject(of, node), text, node };
}
