"""What each dashboard shows. `make.py` writes it as Grafana wants it.

A panel has `title`, `about`, `unit`, `queries` (PromQL, legend) and at will `kind` (timeseries,
stat, table, heatmap), `width` of 24, `limits` (warning, bad), `min`, `max`, `stack`, `link`,
`empty` (what stands there without data) and `decimals`. Metrics: docs/wire.md, "Telemetry".
"""

RATE = "$__rate_interval"
# A refused or failed connection is counted where it was refused, by the flag of its reason.
FAILED = "istio_tcp_connections_failed_total"
OPENED = "istio_tcp_connections_opened_total"
CLOSED = "istio_tcp_connections_closed_total"
REQUESTS = "istio_requests_total"
LATENCY = "istio_request_duration_milliseconds_bucket"
FAILING = "docs/operations.md, \"Flags of connections\", says what each flag means."
# From a row of a table to the workload that it names.
WORKLOAD = "/d/ambit-workload?var-namespace=${{__data.fields.{}}}&var-workload=${{__data.fields.{}}}"
PROXIES = 'job=~"ambit-ztunnel|ambit-waypoint"'


def panel(title, about, unit, *queries, **more):
    return {"title": title, "about": about, "unit": unit, "queries": queries, **more}


def stat(title, about, unit, query, **more):
    return panel(title, about, unit, (query, ""), kind="stat", width=more.pop("width", 4), **more)


def rate(metric, matchers, by=""):
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{matchers}}}[{RATE}]))"


def share(part, whole):
    """A part that has no series yet is none of it."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def quantiles(matchers, by=""):
    more = f", {by}" if by else ""
    return [
        (f"histogram_quantile({q}, {rate(LATENCY, matchers, 'le' + more)})",
         f"p{round(q * 100)}" + (f" {{{{{by}}}}}" if by else ""))
        for q in (0.5, 0.9, 0.99)
    ]


def mesh():
    within = 'reporter="source", source_workload_namespace=~"$namespace"'
    at = 'reporter="destination", destination_workload_namespace=~"$namespace"'
    edge = "source_workload_namespace, source_workload, destination_service_namespace, destination_service_name, destination_workload"
    asked = 'reporter="waypoint", destination_service_namespace=~"$namespace"'
    return {
        "title": "Mesh",
        "about": "Who talks to whom, how much of it is encrypted, and what fails or is refused.",
        "variables": [("namespace", "Namespace", "label_values(istio_tcp_connections_opened_total, source_workload_namespace)")],
        "rows": [
            ("Now", [
                stat("Connections opened", "New connections of enrolled pods.", "cps", rate(OPENED, within)),
                stat("Mutual TLS", "Part of the new connections that both ends proved themselves on; the others leave the mesh or come from outside.", "percentunit",
                     share(rate(OPENED, within + ', connection_security_policy="mutual_tls"'), rate(OPENED, within)), limits=(0.99, 0.5), max=1),
                stat("Failing", "Part of the connections that failed. " + FAILING, "percentunit",
                     share(rate(FAILED, within), rate(CLOSED, within)), limits=(0.01, 0.05), max=1),
                stat("Refused by policy", "Connections that a policy refused.", "cps",
                     f'{rate(FAILED, at + ", response_flags=%sDENY%s" % (chr(34), chr(34)))} or vector(0)', limits=(0.1, 1)),
                stat("Requests", "Requests through waypoints.", "reqps", rate(REQUESTS, asked)),
                stat("Errors", "Part of the requests through waypoints that ended with 5xx or without answer.", "percentunit",
                     share(rate(REQUESTS, asked + ', response_code=~"5..|0"'), rate(REQUESTS, asked)), limits=(0.01, 0.05), max=1),
            ]),
            ("Traffic", [
                panel("Connections by namespace", "New connections by the caller's namespace.", "cps",
                      (rate(OPENED, within, "source_workload_namespace"), "{{source_workload_namespace}}"), stack=True),
                panel("Bytes", "Bytes between client and server, both ways, as the callers' ztunnels count them.", "Bps",
                      (rate("istio_tcp_sent_bytes_total", within), "to clients"),
                      (rate("istio_tcp_received_bytes_total", within), "to servers")),
                panel("Security", "New connections by how they are secured; unknown is plain TCP.", "cps",
                      (rate(OPENED, within, "connection_security_policy"), "{{connection_security_policy}}"), stack=True),
                panel("Failures by flag", "Connections that failed at their caller. " + FAILING, "cps",
                      (rate(FAILED, within, "response_flags"), "{{response_flags}}"), stack=True),
            ]),
            ("Who", [
                panel("Edges", "Who calls what, by new connections a second; through a waypoint the destination is the waypoint.", "cps",
                      (rate(OPENED, within, edge), "connections"), kind="table", width=24, decimals=2,
                      link=("Its caller", WORKLOAD.format("source_workload_namespace", "source_workload"))),
                panel("Refusals", "Connections that a policy of the destination refused. Which policy: the next panel.", "cps",
                      (rate(FAILED, at + ', response_flags="DENY"', "source_principal, destination_workload_namespace, destination_workload"), "refusals"),
                      kind="table", width=24, decimals=2,
                      link=("Its destination", WORKLOAD.format("destination_workload_namespace", "destination_workload"))),
                panel("Refusals by policy", "Connections and requests that each policy refused; without a name where no ALLOW policy allowed.", "cps",
                      (f"sum by (policy) (rate(ambit_policy_refusals_total[{RATE}]))", "{{policy}}"), width=24),
            ]),
        ],
    }


def node():
    on = 'node=~"$node", job="ambit-ztunnel"'
    agent = 'node=~"$node", job="ambit-node-agent"'
    return {
        "title": "Node",
        "about": "The node proxy and the node agent of each node: pods, connections, cost.",
        "variables": [("node", "Node", 'label_values(up{job="ambit-ztunnel"}, node)')],
        "rows": [
            ("Now", [
                stat("ztunnels up", "Node proxies that can be scraped.", "short", f"sum(up{{{on}}})", limits=(1, 0)),
                stat("Connected to control", "Part of the node proxies with a discovery stream. The others serve what they know.", "percentunit",
                     f"avg(ambit_xds_connected{{{on}}})", limits=(1, 0.5), max=1),
                stat("Pods enrolled", "Pods in the mesh.", "short", f'sum(ambit_node_pods{{{agent}, state="enrolled"}})'),
                stat("Pods pending", "Pods that are to be in the mesh and are not yet.", "short",
                     f'sum(ambit_node_pods{{{agent}, state="pending"}})', limits=(1, 3)),
                stat("Older connections", "Open connections that are older than the enrolment of their pods: outside the mesh until they end.", "short",
                     f"sum(ambit_node_older_connections{{{agent}}})", limits=(1, 1000)),
                stat("Without certificate", "Connections that failed because there was no certificate.", "cps",
                     f'{rate(FAILED, on + ", response_flags=%sIDENTITY_ERROR%s" % (chr(34), chr(34)))} or vector(0)', limits=(0.001, 0.1)),
            ]),
            ("Traffic", [
                panel("Connections opened", "New connections that the node's proxy carried, as caller's and as destination's.", "cps",
                      (rate(OPENED, on, "node, reporter"), "{{node}} {{reporter}}")),
                panel("Sockets open", "Captured connections that are open now.", "short",
                      (f"sum by (node, reporter) (istio_tcp_sockets_open{{{on}}})", "{{node}} {{reporter}}")),
                panel("Bytes", "Bytes both ways.", "Bps",
                      (rate("istio_tcp_sent_bytes_total", on, "node"), "{{node}} to clients"),
                      (rate("istio_tcp_received_bytes_total", on, "node"), "{{node}} to servers")),
                panel("Failures by flag", "Connections that failed or were refused on the node. " + FAILING, "cps",
                      (rate(FAILED, on, "node, response_flags"), "{{node}} {{response_flags}}"), stack=True),
            ]),
            ("Tunnels", [
                panel("Handshakes", "Connections made for outbound tunnels; each is a TLS handshake.", "cps",
                      (rate("ambit_tunnel_pool_handshakes_total", on, "node"), "{{node}}")),
                panel("Reuse", "Part of the outbound tunnels that found a connection.", "percentunit",
                      (f'{rate("ambit_tunnel_pool_reused_total", on, "node")} / ({rate("ambit_tunnel_pool_reused_total", on, "node")} + {rate("ambit_tunnel_pool_handshakes_total", on, "node")} > 0)', "{{node}}"), max=1),
                panel("Pooled connections", "Connections that carry outbound tunnels.", "short",
                      (f"sum by (node) (ambit_tunnel_pool_connections{{{on}}})", "{{node}}")),
                panel("Limits reached", "Connections and handshakes that met a limit of their pod, and tunnels without room. docs/operations.md, \"Limits\".", "cps",
                      (rate("ambit_ztunnel_limits_reached_total", on, "node, limit"), "{{node}} {{limit}}"),
                      (rate("ambit_tunnel_pool_full_total", on, "node"), "{{node}} pool full"), limits=(0.001, 1)),
            ]),
            ("Enrolment", [
                panel("Pods by state", "What the node agent says of its pods.", "short",
                      (f"sum by (node, state) (ambit_node_pods{{{agent}}})", "{{node}} {{state}}"), stack=True),
                panel("What the agent did", "Enrolments, withdrawals, and rules that were missing and are restored.", "short",
                      (f"sum by (node, type) (increase(nodeagent_reconcile_events_total{{{agent}}}[{RATE}]))", "{{node}} {{type}}"), stack=True),
                panel("Pods served", "Pods of the node proxy: served, and those whose start failed.", "short",
                      (f"sum by (node) (workload_manager_active_proxy_count{{{on}}})", "{{node}} served"),
                      (f"sum by (node) (workload_manager_pending_proxy_count{{{on}}})", "{{node}} failed")),
                panel("CNI calls", "Answers of the node agent to new pods; other codes than 200 hold a pod back.", "short",
                      (f"sum by (node, response_code) (increase(istio_cni_plugin_requests_total{{{agent}}}[{RATE}]))", "{{node}} {{response_code}}"), stack=True),
            ]),
            ("Cost", [
                panel("Memory", "Resident memory.", "bytes",
                      (f'sum by (node, job) (ambit_process_resident_memory_bytes{{node=~"$node", job=~"ambit-.*"}})', "{{node}} {{job}}")),
                panel("CPU", "Cores that the programs of the node take.", "short",
                      (f'sum by (node, job) (rate(process_cpu_seconds_total{{node=~"$node", job=~"ambit-.*"}}[{RATE}]))', "{{node}} {{job}}")),
                panel("Certificates", "The soonest end of a certificate; each is replaced at half of its life.", "s",
                      ('min by (node) (ambit_certificate_expiry_timestamp_seconds{node=~"$node"}) - time()', "{{node}}")),
                panel("Descriptors", "Part of the file descriptors in use.", "percentunit",
                      (f'max by (node, job) (process_open_fds{{node=~"$node", job=~"ambit-.*"}} / process_max_fds{{node=~"$node", job=~"ambit-.*"}})', "{{node}} {{job}}"), limits=(0.8, 0.95), max=1),
                panel("Since the last word of control", "Time since the last discovery response. It grows while nothing changes.", "s",
                      (f"time() - max by (node) (ambit_xds_last_response_timestamp_seconds{{{on}}} > 0)", "{{node}}")),
                panel("Versions", "What runs where.", "short",
                      ('count by (node, component, tag) (istio_build{node=~"$node"})', "processes"), kind="table"),
            ]),
        ],
    }


def workload():
    here = 'destination_workload_namespace=~"$namespace", destination_workload=~"$workload"'
    into = 'reporter="destination", ' + here
    out = 'reporter="source", source_workload_namespace=~"$namespace", source_workload=~"$workload"'
    asked = 'reporter="waypoint", ' + here
    asks = 'reporter="waypoint", source_workload_namespace=~"$namespace", source_workload=~"$workload"'
    return {
        "title": "Workload",
        "about": "Golden metrics of a workload: what comes in, what goes out, and, behind a waypoint, requests.",
        "variables": [
            ("namespace", "Namespace", "label_values(istio_tcp_connections_opened_total, destination_workload_namespace)"),
            ("workload", "Workload", 'label_values(istio_tcp_connections_opened_total{destination_workload_namespace=~"$namespace"}, destination_workload)'),
        ],
        "rows": [
            ("Now", [
                stat("In", "New connections to it.", "cps", rate(OPENED, into)),
                stat("Failing in", "Part of the connections to it that failed or were refused.", "percentunit",
                     share(rate(FAILED, into), rate(CLOSED, into)), limits=(0.01, 0.05), max=1),
                stat("Out", "New connections of it.", "cps", rate(OPENED, out)),
                stat("Failing out", "Part of its connections that failed. " + FAILING, "percentunit",
                     share(rate(FAILED, out), rate(CLOSED, out)), limits=(0.01, 0.05), max=1),
                stat("Requests", "Requests to it through waypoints.", "reqps", rate(REQUESTS, asked)),
                stat("Latency, p99", "99 of 100 requests to it through waypoints ended sooner.", "ms", quantiles(asked)[2][0], limits=(500, 2000)),
            ]),
            ("Connections in", [
                panel("Callers", "New connections by who calls; through a waypoint the caller is the waypoint.", "cps",
                      (rate(OPENED, into, "source_workload_namespace, source_workload"), "{{source_workload_namespace}}/{{source_workload}}"), stack=True),
                panel("Failures by flag", "Connections to it that failed or were refused. " + FAILING, "cps",
                      (rate(FAILED, into, "source_workload, response_flags"), "{{source_workload}} {{response_flags}}"), stack=True),
                panel("Bytes in", "Bytes of connections to it.", "Bps",
                      (rate("istio_tcp_received_bytes_total", into), "received"), (rate("istio_tcp_sent_bytes_total", into), "sent")),
                panel("Identities", "Who was let in or refused, as proved by certificate; unknown is plain TCP.", "cps",
                      (rate(OPENED, into, "source_principal, connection_security_policy"), "opened"),
                      (rate(FAILED, into, "source_principal, connection_security_policy"), "failed or refused"), kind="table", decimals=2),
            ]),
            ("Connections out", [
                panel("Called", "New connections by the service that it calls.", "cps",
                      (rate(OPENED, out, "destination_service_namespace, destination_service_name"), "{{destination_service_namespace}}/{{destination_service_name}}"), stack=True),
                panel("Failures by flag", "Its connections that failed. " + FAILING, "cps",
                      (rate(FAILED, out, "destination_service_name, response_flags"), "{{destination_service_name}} {{response_flags}}"), stack=True),
                panel("Bytes out", "Bytes of its connections.", "Bps",
                      (rate("istio_tcp_received_bytes_total", out), "sent"), (rate("istio_tcp_sent_bytes_total", out), "received")),
            ]),
            ("Requests, behind a waypoint", [
                panel("Requests in", "Requests to it by status class.", "reqps",
                      (rate(REQUESTS, asked, "response_code"), "{{response_code}}"), stack=True),
                panel("Latency in", "From request to the end of its answer.", "ms", *quantiles(asked)),
                panel("Latency in, as a map", "How many requests took how long.", "ms", (rate(LATENCY, asked, "le"), "{{le}}"), kind="heatmap"),
                panel("Callers", "Requests by who asks.", "reqps",
                      (rate(REQUESTS, asked, "source_workload_namespace, source_workload"), "{{source_workload_namespace}}/{{source_workload}}"), stack=True),
                panel("Requests out", "Its requests through waypoints, by service and status.", "reqps",
                      (rate(REQUESTS, asks, "destination_service_name, response_code"), "{{destination_service_name}} {{response_code}}"), stack=True),
                panel("Latency out", "Of its requests through waypoints.", "ms", *quantiles(asks)),
            ]),
        ],
    }


def waypoint():
    its = 'namespace=~"$namespace", gateway=~"$gateway"'
    asked = 'reporter="waypoint", ' + its
    service = "destination_service_namespace, destination_service_name"
    named = "{{destination_service_namespace}}/{{destination_service_name}}"
    return {
        "title": "Waypoint",
        "about": "Requests through waypoints: rates, errors, latency, backends, tokens, authorizers, limits.",
        "variables": [
            ("namespace", "Namespace", 'label_values(up{job="ambit-waypoint"}, namespace)'),
            ("gateway", "Waypoint", 'label_values(up{job="ambit-waypoint", namespace=~"$namespace"}, gateway)'),
        ],
        "rows": [
            ("Now", [
                stat("Instances up", "Instances that can be scraped.", "short", f'sum(up{{job="ambit-waypoint", {its}}})', limits=(1, 0)),
                stat("Connected to control", "Part of the instances with a discovery stream.", "percentunit",
                     f'avg(ambit_xds_connected{{job="ambit-waypoint", {its}}})', limits=(1, 0.5), max=1),
                stat("Requests", "Requests a second.", "reqps", rate(REQUESTS, asked)),
                stat("Errors", "Part of the requests that ended with 5xx or without answer.", "percentunit",
                     share(rate(REQUESTS, asked + ', response_code=~"5..|0"'), rate(REQUESTS, asked)), limits=(0.01, 0.05), max=1),
                stat("Refused", "Part of the requests that were refused: 401 and 403.", "percentunit",
                     share(rate(REQUESTS, asked + ', response_code=~"401|403"'), rate(REQUESTS, asked)), limits=(0.1, 0.5), max=1),
                stat("Latency, p99", "99 of 100 requests ended sooner.", "ms", quantiles(asked)[2][0], limits=(500, 2000)),
            ]),
            ("Requests", [
                panel("By service", "Requests by the service that they are for.", "reqps", (rate(REQUESTS, asked, service), named), stack=True),
                panel("By status", "Requests by status; 0 is none.", "reqps", (rate(REQUESTS, asked, "response_code"), "{{response_code}}"), stack=True),
                panel("Latency", "From request to the end of its answer.", "ms", *quantiles(asked)),
                panel("Latency, as a map", "How many requests took how long.", "ms", (rate(LATENCY, asked, "le"), "{{le}}"), kind="heatmap"),
                panel("Failures by flag", "Requests with a flag. docs/operations.md, \"Flags of requests\", says what each means.", "reqps",
                      (rate(REQUESTS, asked + ', response_flags!="-"', f"{service}, response_flags"), named + " {{response_flags}}"), stack=True),
                panel("gRPC status", "gRPC calls by status.", "reqps",
                      (rate(REQUESTS, asked + ', request_protocol="grpc"', "grpc_response_status"), "{{grpc_response_status}}"), stack=True),
            ]),
            ("Backends", [
                panel("Split", "Part of the requests to a service that each workload behind it got: a canary's weight, as measured.", "percentunit",
                      (f'{rate(REQUESTS, asked, service + ", destination_workload")} / on ({service}) group_left () ({rate(REQUESTS, asked, service)} > 0)',
                       "{{destination_service_name}}: {{destination_workload}}"), max=1),
                panel("Latency by backend, p99", "99 of 100 requests of each backend ended sooner.", "ms", quantiles(asked, "destination_workload")[2]),
                panel("Bytes", "Bodies of requests and answers.", "Bps",
                      (rate("istio_request_bytes_sum", asked), "requests"), (rate("istio_response_bytes_sum", asked), "answers")),
                panel("Connections without HTTP", "Connections of ports that are no HTTP.", "cps", (rate(OPENED, asked, service), named), stack=True),
            ]),
            ("Who may", [
                panel("External authorizers", "Their decisions. error and invalid refuse the request, unless the provider says failOpen.", "reqps",
                      (rate("ambit_waypoint_checks_total", its, "provider, result"), "{{provider}} {{result}}"), stack=True),
                panel("Tokens", "Tokens of users by RequestAuthentication and what became of them.", "reqps",
                      (rate("ambit_waypoint_tokens_total", its, "policy, result"), "{{policy}} {{result}}"), stack=True),
                panel("Limits reached", "Handshakes, checks and bodies that met a limit, and tunnels that were not for this waypoint. docs/operations.md, \"Limits\".", "cps",
                      (rate("ambit_waypoint_limits_reached_total", its, "gateway, limit"), "{{gateway}} {{limit}}"),
                      (rate("ambit_waypoint_tunnels_refused_total", its, "gateway"), "{{gateway}} tunnels refused"), limits=(0.001, 1)),
            ]),
            ("Cost", [
                panel("Memory", "Resident memory of each instance.", "bytes",
                      (f'ambit_process_resident_memory_bytes{{job="ambit-waypoint", {its}}}', "{{pod}}")),
                panel("CPU", "Cores that each instance takes.", "short",
                      (f'rate(process_cpu_seconds_total{{job="ambit-waypoint", {its}}}[{RATE}])', "{{pod}}")),
                panel("Tunnels", "Connections made for outbound tunnels, and tunnels that found one.", "cps",
                      (rate("ambit_tunnel_pool_handshakes_total", its, "pod"), "{{pod}} handshakes"),
                      (rate("ambit_tunnel_pool_reused_total", its, "pod"), "{{pod}} reused")),
            ]),
        ],
    }


def control():
    its = 'job="ambit-control"'
    ca = "citadel_server_"
    return {
        "title": "Control plane",
        "about": "Discovery, certificates, keys of issuers, and who hears control.",
        "variables": [],
        "rows": [
            ("Now", [
                stat("Instances up", "Instances that can be scraped.", "short", f"sum(up{{{its}}})", limits=(1, 0)),
                stat("Discovery streams", "Node proxies, waypoints and other clients that listen.", "short", f"sum(ambit_xds_streams{{{its}}})"),
                stat("Proxies connected", "Part of the ztunnels and waypoints with a discovery stream.", "percentunit",
                     f"avg(ambit_xds_connected{{{PROXIES}}})", limits=(1, 0.9), max=1),
                stat("Root ends in", "When the root or the signing chain ends; no certificate lives longer.", "s",
                     'min({__name__=~"citadel_server_(root_cert|cert_chain)_expiry_timestamp"}) - time()', limits=(90 * 86400, 30 * 86400)),
                stat("Not as written", "Parts of objects that are not in force as written; `ambit check` names them.", "short",
                     f"max(ambit_control_problems{{{its}}})", limits=(1, 10)),
                stat("Key sets missing", "Issuers of tokens of which there is no key: all their tokens are refused.", "short",
                     f"sum(ambit_jwks_sets_missing{{{its}}})", limits=(1, 2)),
                stat("Addresses given", "Addresses that hosts of ServiceEntries were given, of 65,534.", "short", f"max(ambit_given_addresses{{{its}}})", limits=(50000, 65000)),
            ]),
            ("Discovery", [
                panel("Sent", "Responses, and resources in them.", "ops",
                      (rate("ambit_xds_responses_total", its), "responses"), (rate("ambit_xds_resources_sent_total", its), "resources")),
                panel("Streams", "Open discovery streams of each instance.", "short", (f"ambit_xds_streams{{{its}}}", "{{pod}}")),
                panel("Refused, rejected, cut", "Streams refused at the limit, responses that a proxy rejected, streams cut because their proxy does not read.", "ops",
                      (rate("ambit_xds_streams_refused_total", its), "refused"), (rate("ambit_xds_responses_rejected_total", its), "rejected"),
                      (rate("ambit_xds_streams_cut_total", its), "cut"), limits=(0.001, 0.1)),
                panel("Ends of streams", "As the proxies saw them, by reason; Reconnect is the usual one.", "ops",
                      (f'sum by (job, reason) (rate(istio_xds_connection_terminations_total{{{PROXIES}}}[{RATE}]))', "{{job}} {{reason}}"), stack=True),
                panel("Heard", "Bytes that proxies got, by type of resource.", "Bps",
                      (f'sum by (url) (rate(istio_xds_message_bytes_total{{{PROXIES}}}[{RATE}]))', "{{url}}"), stack=True),
                panel("Proxies that do not hear", "Proxies without a discovery stream: their state grows stale.", "short",
                      (f"count by (job, node, pod) (ambit_xds_connected{{{PROXIES}}} == 0)", "proxies"), kind="table", link=("Its node", "/d/ambit-node?var-node=${__data.fields.node}")),
            ]),
            ("Certificates", [
                panel("Requests", "Requests for certificates, and those that were granted.", "ops",
                      (rate(ca + "csr_count_total", its), "asked"), (rate(ca + "success_cert_issuance_count_total", its), "granted")),
                panel("Refused", "Callers and identities that were refused, requests that cannot be read or name nobody, failures to sign.", "ops",
                      (rate(ca + "authentication_failure_count_total", its), "caller or identity"), (rate(ca + "csr_parsing_err_count_total", its), "unreadable"),
                      (rate(ca + "id_extraction_err_count_total", its), "no identity"), (rate(ca + "csr_sign_err_count_total", its), "not signed"), limits=(0.001, 0.1)),
            ]),
            ("Keys of issuers", [
                panel("Fetches", "Fetches of key sets by host and result.", "ops",
                      (rate("ambit_jwks_fetches_total", its, "host, result"), "{{host}} {{result}}"), stack=True),
                panel("Key sets", "Those that are fetched, missing, and over the limit.", "short",
                      (f"max(ambit_jwks_sets{{{its}}})", "fetched"), (f"max(ambit_jwks_sets_missing{{{its}}})", "missing"), (f"max(ambit_jwks_sets_refused{{{its}}})", "over the limit")),
            ]),
            ("All programs", [
                panel("Versions", "Proxies and agents by version; more than one during an upgrade only.", "short",
                      ("count by (component, tag) (istio_build)", "processes"), kind="table"),
                panel("Log lines dropped", "Lines lost because standard output was not read.", "short",
                      (f"sum by (job, pod) (increase(ambit_log_lines_dropped_total[{RATE}]))", "{{job}} {{pod}}"), limits=(1, 1000)),
            ]),
        ],
    }


ALL = {"mesh": mesh(), "node": node(), "workload": workload(), "waypoint": waypoint(), "control": control()}
