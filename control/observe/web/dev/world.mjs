// A mesh that does not exist: for looking at the pages without one. The same each time.

/** A generator of numbers from 0 to 1 that repeats (mulberry32). */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const shop = {
  shop: ['web', 'cart', 'orders', 'catalog', 'search', 'reviews'],
  pay: ['payments', 'ledger', 'fraud'],
  ship: ['shipping', 'tracking', 'labels'],
  data: ['postgres', 'redis', 'kafka', 'exporter'],
  edge: ['gateway', 'auth'],
  batch: ['reports', 'cleanup'],
};

const calls = `
  edge/gateway shop/web 80 http 40, edge/gateway edge/auth 8080 grpc 38, shop/web shop/cart 8080 http 22
  shop/web shop/catalog 8080 http 55, shop/web shop/search 8080 http 18, shop/web shop/reviews 8080 http 9
  shop/cart shop/orders 8080 grpc 7, shop/orders pay/payments 8443 grpc 6, shop/orders ship/shipping 8080 http 5
  shop/orders data/kafka 9092 tcp 4, shop/catalog data/postgres 5432 tcp 12, shop/search data/redis 6379 tcp 25
  pay/payments pay/fraud 8080 grpc 6, pay/payments pay/ledger 8080 grpc 5, pay/ledger data/postgres 5432 tcp 4
  ship/shipping ship/labels 8080 http 3, ship/shipping ship/tracking 8080 http 4, ship/tracking data/redis 6379 tcp 6
  batch/reports data/postgres 5432 tcp 0.6, batch/reports pay/ledger 8080 http 0.4, batch/cleanup data/redis 6379 tcp 0.3
  data/exporter data/postgres 5432 tcp 0.5, edge/auth data/redis 6379 tcp 30, shop/reviews data/postgres 5432 tcp 3
`.trim().split(/[\n,]/).map((line) => line.trim().split(' '));

const evil = ['<img src=x onerror=alert(1)>', '</script><b>bold', 'a\u202Etxt.exe', 'nul\u0000bel\u0007', '"onclick=x"', '${7*7}{{7*7}}', 'zero\u200Bwidth\uFEFF', '../../etc/passwd', 'line\nbreak\r\u2028', `${'long-'.repeat(60)}end`];

/** `large`: 500 workloads and 2,000 edges on 100 nodes. `hostile`: names that try to be more. */
export function world({ large = false, hostile = false } = {}) {
  const roll = dice(7);
  const nodes = Array.from({ length: large ? 100 : 3 }, (_, i) => `node-${large ? i + 1 : 'abc'[i]}`);
  const workloads = [];
  const add = (namespace, name) => {
    const pods = 1 + Math.floor(roll() * 3);
    const on = [...new Set(Array.from({ length: pods }, () => nodes[Math.floor(roll() * nodes.length)]))];
    const one = { id: `${namespace}/${name}`, namespace, name, pods, nodes: on, identity: `spiffe://cluster.local/ns/${namespace}/sa/${name}` };
    workloads.push(one);
    return one;
  };
  if (large) for (let i = 0; i < 500; i++) add(`team-${String(1 + Math.floor((i / 500) ** 1.4 * 24)).padStart(2, '0')}`, `service-${i + 1}`);
  else for (const [namespace, names] of Object.entries(shop)) for (const name of names) add(namespace, name);
  if (hostile) evil.forEach((name, i) => add(i % 2 ? 'shop' : evil[(i + 1) % evil.length], name));

  const edges = [];
  const join = (source, target, port, protocol, rate, more = {}) => edges.push({
    source, target, port: Number(port), protocol, rate: Number(rate), seed: edges.length + 1, security: 'mtls', policy: '', bad: 0, failure: '',
    service: `${target.namespace}/${target.name}.${target.namespace}.svc.cluster.local`, ...more,
  });
  const of = (id) => workloads.find((one) => one.id === id);
  if (large) {
    while (edges.length < 2000) {
      const source = workloads[Math.floor(roll() * 500)];
      const near = workloads.filter((one) => one.namespace === source.namespace);
      const target = roll() < 0.7 ? near[Math.floor(roll() * near.length)] : workloads[Math.floor(roll() ** 3 * 500)];
      if (target === source) continue;
      join(source, target, 8080, ['http', 'grpc', 'tcp'][edges.length % 3], 0.2 + roll() ** 4 * 40, roll() < 0.06 ? { security: 'plain' } : roll() < 0.05 ? { bad: roll() * 0.12, failure: 'CONNECT' } : {});
    }
  } else {
    for (const [from, to, port, protocol, rate] of calls) join(of(from), of(to), port, protocol, rate);
    const edge = (from, to) => edges.find((one) => one.source.id === from && one.target.id === to);
    Object.assign(edge('data/exporter', 'data/postgres'), { security: 'plain' });
    Object.assign(edge('shop/orders', 'pay/payments'), { bad: 0.02, failure: 'TIMEOUT' });
    Object.assign(edge('shop/web', 'shop/reviews'), { bad: 0.11, failure: 'UPSTREAM_5XX' });
    Object.assign(edge('edge/gateway', 'edge/auth'), { policy: 'edge/allow-gateway' });
    Object.assign(edge('shop/cart', 'shop/orders'), { policy: 'shop/allow-cart' });
  }
  const denied = { bad: 1, failure: 'DENY' };
  if (!large) {
    join(of('batch/reports'), of('pay/ledger'), 8080, 'tcp', 0.25, { ...denied, policy: 'pay/deny-batch' });
    join({ id: 'external', namespace: '', name: '', nodes: [], identity: '', pods: 0 }, of('edge/gateway'), 443, 'tcp', 12, { security: 'plain' });
  } else {
    for (let i = 0; i < 20; i++) Object.assign(edges[i * 90 + 5], denied, { policy: 'team-03/deny-others', rate: 0.3 });
  }
  if (hostile) {
    const ours = workloads.slice(-evil.length);
    ours.forEach((one, i) => join(one, ours[(i + 3) % ours.length], 80, 'http', 2, { policy: i % 3 ? '' : `${one.namespace}/${evil[i % evil.length]}`, ...(i % 3 ? {} : { bad: 0.3, failure: evil[1] }) }));
  }

  const waypoints = large
    ? [{ namespace: 'team-01', name: 'waypoint', node: nodes[0] }]
    : [{ namespace: 'shop', name: 'waypoint', node: nodes[0] }, { namespace: 'pay', name: 'waypoint', node: nodes[1] }];
  for (const edge of edges) {
    const through = waypoints.find((one) => one.namespace === edge.target.namespace);
    if (through && edge.protocol !== 'tcp') edge.waypoint = `${through.namespace}/${through.name}`;
  }
  const policies = [...new Set(edges.map((edge) => edge.policy).filter(Boolean))].map((name) => ({
    name, action: /deny/.test(name) ? 'DENY' : 'ALLOW', enforcedBy: /cart/.test(name) ? 'waypoint' : 'ztunnel', scope: 'workload',
  }));
  policies.push({ name: 'ambit-system/try-out', action: 'DENY', enforcedBy: 'ztunnel', scope: 'mesh', dryRun: true });
  return { nodes, workloads, edges, waypoints, policies, hostile };
}
