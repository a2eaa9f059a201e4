#!/usr/bin/env python3
"""Writes golden.txt: messages of docs/wire.md as bytes, made by an encoder that is not ours.

The descriptors are built here from the tables of field numbers in docs/wire.md; no .proto file
of this repository is read. Needs PyPI `protobuf`:

    python3 hbone/tests/golden/make.py > hbone/tests/golden/golden.txt

`golden.rs` builds the same messages with our types.
"""

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2
from google.protobuf import empty_pb2, message_factory, struct_pb2, timestamp_pb2, wrappers_pb2

F = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "string": F.TYPE_STRING, "bytes": F.TYPE_BYTES, "bool": F.TYPE_BOOL, "enum": F.TYPE_INT32,
    "uint32": F.TYPE_UINT32, "int32": F.TYPE_INT32, "int64": F.TYPE_INT64,
}
KNOWN = {
    "Any": ".google.protobuf.Any", "Struct": ".google.protobuf.Struct",
    "Empty": ".google.protobuf.Empty", "Duration": ".google.protobuf.Duration",
    "UInt32Value": ".google.protobuf.UInt32Value", "BoolValue": ".google.protobuf.BoolValue",
    "Timestamp": ".google.protobuf.Timestamp",
}

# Message: fields as "number name type"; a type may be preceded by "repeated", "optional" or
# "map" (from string to that type). Enumerations are plain numbers, which encode alike.
TABLES = {
    "Address": "1 workload Workload, 2 service Service",
    "Service": """1 name string, 2 namespace string, 3 hostname string,
        4 addresses repeated NetworkAddress, 5 ports repeated Port,
        6 subject_alt_names repeated string, 7 waypoint GatewayAddress,
        8 load_balancing LoadBalancing, 9 ip_families enum, 10 extensions repeated Extension,
        11 canonical bool, 12 ingress_use_waypoint bool,
        13 weighted_waypoints repeated WeightedWaypoint, 14 visibility enum""",
    "Workload": """1 name string, 2 namespace string, 3 addresses repeated bytes,
        4 network string, 5 tunnel_protocol enum, 6 trust_domain string,
        7 service_account string, 8 waypoint GatewayAddress, 9 node string,
        10 canonical_name string, 11 canonical_revision string, 12 workload_type enum,
        13 workload_name string, 14 native_tunnel bool,
        16 authorization_policies repeated string, 17 status enum, 18 cluster_id string,
        19 network_gateway GatewayAddress, 20 uid string, 21 hostname string,
        22 services map PortList, 23 application_tunnel ApplicationTunnel,
        24 locality Locality, 25 network_mode enum, 26 extensions repeated Extension,
        27 capacity UInt32Value""",
    "PortList": "1 ports repeated Port",
    "Port": "1 service_port uint32, 2 target_port uint32, 3 app_protocol enum",
    "Locality": "1 region string, 2 zone string, 3 subzone string",
    "GatewayAddress": """1 hostname NamespacedHostname, 2 address NetworkAddress,
        3 hbone_mtls_port uint32""",
    "WeightedWaypoint": "1 destination GatewayAddress, 2 weight uint32",
    "NetworkAddress": "1 network string, 2 address bytes, 3 length optional uint32",
    "NamespacedHostname": "1 namespace string, 2 hostname string",
    "ApplicationTunnel": "1 protocol enum, 2 port uint32",
    "Extension": "1 name string, 2 config Any",
    "LoadBalancing": "1 routing_preference repeated enum, 2 mode enum, 3 health_policy enum",
    "Authorization": """1 name string, 2 namespace string, 3 scope enum, 4 action enum,
        5 rules repeated Rule, 6 dry_run bool, 7 extensions repeated Extension""",
    "Rule": "1 clauses repeated Clause",
    "Clause": "2 matches repeated Match",
    "Match": """1 namespaces repeated StringMatch, 2 not_namespaces repeated StringMatch,
        3 principals repeated StringMatch, 4 not_principals repeated StringMatch,
        5 source_ips repeated Block, 6 not_source_ips repeated Block,
        7 destination_ips repeated Block, 8 not_destination_ips repeated Block,
        9 destination_ports repeated uint32, 10 not_destination_ports repeated uint32,
        11 service_accounts repeated ServiceAccountMatch,
        12 not_service_accounts repeated ServiceAccountMatch,
        13 extensions repeated Extension""",
    "Block": "1 address bytes, 2 length uint32",
    "ServiceAccountMatch": "1 namespace string, 2 service_account string",
    "StringMatch": "1 exact optional string, 2 prefix optional string, 3 suffix optional string, 4 presence Empty",
    "DeltaDiscoveryRequest": """1 node Node, 2 type_url string,
        3 resource_names_subscribe repeated string, 4 resource_names_unsubscribe repeated string,
        5 initial_resource_versions map string, 6 response_nonce string, 7 error_detail Status""",
    "DeltaDiscoveryResponse": """1 system_version_info string, 2 resources repeated Resource,
        4 type_url string, 5 nonce string, 6 removed_resources repeated string""",
    "Resource": """1 version string, 2 resource Any, 3 name string, 4 aliases repeated string,
        6 ttl Duration, 7 cache_control CacheControl""",
    "CacheControl": "1 do_not_cache bool",
    "Node": "1 id string, 2 cluster string, 3 metadata Struct, 5 build_version string",
    "Status": "1 code int32, 2 message string, 3 details repeated Any",
    "IstioCertificateRequest": "1 csr string, 3 validity_duration int64, 4 metadata Struct",
    "IstioCertificateResponse": "1 cert_chain repeated string",
    "ZdsHello": "1 version enum",
    "WorkloadRequest": """1 add AddWorkload, 2 del DelWorkload, 3 snapshot_sent SnapshotSent,
        5 keep KeepWorkload""",
    "AddWorkload": "1 uid string, 2 workload_info WorkloadInfo",
    "WorkloadInfo": "1 name string, 2 namespace string, 3 service_account string",
    "KeepWorkload": "1 uid string",
    "DelWorkload": "2 uid string",
    "SnapshotSent": "",
    "Ack": "1 error string",
    "WorkloadResponse": "1 ack Ack",
    "CheckRequest": "1 attributes AttributeContext",
    "AttributeContext": """1 source Peer, 2 destination Peer, 4 request CheckedRequest,
        10 context_extensions map string, 11 metadata_context Metadata, 12 tls_session TlsSession,
        13 route_metadata_context Metadata""",
    "CheckedRequest": "1 time Timestamp, 2 http HttpRequest",
    "Metadata": "1 filter_metadata map Struct",
    "TlsSession": "1 sni string",
    "Peer": """1 address PeerAddress, 2 service string, 3 labels map string, 4 principal string,
        5 certificate string""",
    "PeerAddress": "1 socket_address SocketAddress, 2 pipe Pipe",
    "SocketAddress": "1 protocol enum, 2 address string, 3 port_value uint32",
    "Pipe": "1 path string",
    "HttpRequest": """1 id string, 2 method string, 3 headers map string, 4 path string,
        5 host string, 6 scheme string, 7 query string, 8 fragment string, 9 size int64,
        10 protocol string, 11 body string, 12 raw_body bytes, 13 header_map HeaderMap""",
    "HeaderMap": "1 headers repeated HeaderValue",
    "HeaderValue": "1 key string, 2 value string, 3 raw_value bytes",
    "HeaderValueOption": """1 header HeaderValue, 2 append BoolValue, 3 append_action enum,
        4 keep_empty_value bool""",
    "CheckResponse": """1 status Status, 2 denied_response DeniedHttpResponse,
        3 ok_response OkHttpResponse, 4 dynamic_metadata Struct,
        5 error_response DeniedHttpResponse""",
    "DeniedHttpResponse": """1 status HttpStatus, 2 headers repeated HeaderValueOption,
        3 body string""",
    "HttpStatus": "1 code enum",
    "OkHttpResponse": """2 headers repeated HeaderValueOption, 3 dynamic_metadata Struct,
        5 headers_to_remove repeated string, 6 response_headers_to_add repeated HeaderValueOption,
        7 query_parameters_to_set repeated QueryParameter,
        8 query_parameters_to_remove repeated string""",
    "QueryParameter": "1 key string, 2 value string",
}


def add_field(message, text):
    number, name, *how, kind = text.split()
    field = message.field.add(name=name, number=int(number), label=F.LABEL_OPTIONAL)
    target = field
    if "repeated" in how:
        field.label = F.LABEL_REPEATED
    if "optional" in how:
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name="_" + name)
    if "map" in how:
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=F.LABEL_OPTIONAL, type=F.TYPE_STRING)
        target = entry.field.add(name="value", number=2, label=F.LABEL_OPTIONAL)
        field.label, field.type = F.LABEL_REPEATED, F.TYPE_MESSAGE
        field.type_name = f".golden.{message.name}.{entry.name}"
    if kind in SCALARS:
        target.type = SCALARS[kind]
    else:
        target.type, target.type_name = F.TYPE_MESSAGE, KNOWN.get(kind, f".golden.{kind}")


def classes():
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="golden.proto", package="golden", syntax="proto3")
    for known in (any_pb2, struct_pb2, empty_pb2, duration_pb2, timestamp_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        file.dependency.append(known.DESCRIPTOR.name)
    for name, table in TABLES.items():
        message = file.message_type.add(name=name)
        for text in filter(str.strip, table.split(",")):
            add_field(message, text)
    pool.AddSerializedFile(file.SerializeToString())
    get = message_factory.GetMessageClass
    return {name: get(pool.FindMessageTypeByName(f"golden.{name}")) for name in TABLES}


ANY = {"type_url": "t/x", "value": b"\x08\x01"}
EXTENSION = {"name": "e", "config": ANY}
VIP = {"network": "n", "address": b"\x0a\x60\x00\x01"}
BY_NAME = {"hostname": {"namespace": "ns", "hostname": "gw"}, "hbone_mtls_port": 15008}
BY_ADDRESS = {"address": {**VIP, "length": 32}, "hbone_mtls_port": 15009}
PORT = {"service_port": 80, "target_port": 8080, "app_protocol": 3}
METADATA = {"NODE_NAME": "node-a"}

WORKLOAD = {
    "name": "web-1", "namespace": "shop", "addresses": [b"\x0a\x01\x00\x05", bytes(range(16))],
    "network": "n", "tunnel_protocol": 1, "trust_domain": "td", "service_account": "web",
    "waypoint": BY_NAME, "node": "node-a", "canonical_name": "web", "canonical_revision": "v1",
    "workload_type": 2, "workload_name": "web", "native_tunnel": True,
    "authorization_policies": ["shop/deny", "shop/allow"], "status": 1, "cluster_id": "c",
    "network_gateway": BY_ADDRESS, "uid": "c//Pod/shop/web-1", "hostname": "web.example",
    "services": {"shop/web": {"ports": [PORT]}},
    "application_tunnel": {"protocol": 1, "port": 15088},
    "locality": {"region": "r", "zone": "z", "subzone": "s"}, "network_mode": 1,
    "extensions": [EXTENSION], "capacity": {"value": 3},
}
SERVICE = {
    "name": "web", "namespace": "shop", "hostname": "web.shop",
    "addresses": [VIP, {**VIP, "length": 0}], "ports": [PORT, {"service_port": 81}],
    "subject_alt_names": ["spiffe://td/ns/a/sa/b"], "waypoint": BY_ADDRESS,
    "load_balancing": {"routing_preference": [6, 1, 2], "mode": 2, "health_policy": 1},
    "ip_families": 3, "extensions": [EXTENSION], "canonical": True,
    "ingress_use_waypoint": True,
    "weighted_waypoints": [{"destination": BY_NAME, "weight": 90}], "visibility": 1,
}
EXACT, PREFIX, SUFFIX, PRESENCE = (
    {"exact": "a"}, {"prefix": "b"}, {"suffix": "c"}, {"presence": {}})
BLOCK = {"address": b"\x0a\x00\x00\x00", "length": 8}
ACCOUNT = {"namespace": "shop", "service_account": "web"}
AUTHORIZATION = {
    "name": "p", "namespace": "shop", "scope": 2, "action": 1, "dry_run": True,
    "extensions": [EXTENSION],
    "rules": [{"clauses": [{"matches": [{
        "namespaces": [EXACT], "not_namespaces": [PREFIX], "principals": [SUFFIX],
        "not_principals": [PRESENCE], "source_ips": [BLOCK], "not_source_ips": [BLOCK],
        "destination_ips": [BLOCK], "not_destination_ips": [BLOCK],
        "destination_ports": [80, 65535], "not_destination_ports": [443],
        "service_accounts": [ACCOUNT], "not_service_accounts": [ACCOUNT],
        "extensions": [EXTENSION]}]}]}],
}
PEER = {
    "address": {"socket_address": {"protocol": 1, "address": "10.1.0.5", "port_value": 43210}},
    "service": "web", "labels": {"app": "web"}, "principal": "spiffe://td/ns/shop/sa/web",
    "certificate": "PEM",
}
# In a map, a plain dictionary is not taken for a Struct.
STRUCT = {"fields": {"NODE_NAME": {"string_value": "node-a"}}}
HEADER = {"key": "x-a", "value": "1", "raw_value": b"\x01"}
OPTION = {"header": HEADER, "append": {"value": True}, "append_action": 2,
          "keep_empty_value": True}
DENIED = {"status": {"code": 403}, "headers": [OPTION], "body": "no"}
CHECK = {
    "source": PEER, "destination": {"address": {"pipe": {"path": "/run/s"}}},
    "request": {
        "time": {"seconds": 1, "nanos": 2},
        "http": {
            "id": "7", "method": "GET", "headers": {":path": "/a?b"}, "path": "/a?b",
            "host": "h", "scheme": "http", "query": "b", "fragment": "f", "size": 3,
            "protocol": "HTTP/2", "body": "abc", "raw_body": b"\xff",
            "header_map": {"headers": [HEADER]}}},
    "context_extensions": {"k": "v"}, "metadata_context": {"filter_metadata": {"f": STRUCT}},
    "tls_session": {"sni": "s"}, "route_metadata_context": {"filter_metadata": {"g": STRUCT}},
}
GOLDEN = [
    ("address_workload", "Address", {"workload": WORKLOAD}),
    ("address_service", "Address", {"service": SERVICE}),
    ("capacity_zero", "Workload", {"capacity": {}}),
    ("authorization", "Authorization", AUTHORIZATION),
    ("empty_levels", "Authorization", {"rules": [{}, {"clauses": [{"matches": [{}]}, {}]}]}),
    ("delta_request", "DeltaDiscoveryRequest", {
        "node": {"id": "ztunnel~1.1.1.1~p.ns~ns.svc", "cluster": "c", "metadata": METADATA,
                 "build_version": "b"},
        "type_url": "t", "resource_names_subscribe": ["*"],
        "resource_names_unsubscribe": ["*", "x"], "initial_resource_versions": {"a": "1"},
        "response_nonce": "n", "error_detail": {"code": 3, "message": "m", "details": [ANY]}}),
    ("delta_response", "DeltaDiscoveryResponse", {
        "system_version_info": "v", "type_url": "t", "nonce": "n", "removed_resources": ["r"],
        "resources": [{"version": "1", "resource": ANY, "name": "a", "aliases": ["n/10.0.0.1"],
                       "ttl": {"seconds": 5}, "cache_control": {"do_not_cache": True}}]}),
    ("certificate_request", "IstioCertificateRequest",
     {"csr": "PEM", "validity_duration": 86400, "metadata": METADATA}),
    ("certificate_response", "IstioCertificateResponse", {"cert_chain": ["leaf", "root"]}),
    ("zds_hello", "ZdsHello", {"version": 1}),
    ("zds_add", "WorkloadRequest", {"add": {"uid": "u", "workload_info": {
        "name": "web", "namespace": "shop", "service_account": "sa"}}}),
    ("zds_del", "WorkloadRequest", {"del": {"uid": "u"}}),
    ("zds_snapshot_sent", "WorkloadRequest", {"snapshot_sent": {}}),
    ("zds_keep", "WorkloadRequest", {"keep": {"uid": "u"}}),
    ("zds_ack", "WorkloadResponse", {"ack": {}}),
    ("zds_nack", "WorkloadResponse", {"ack": {"error": "no"}}),
    ("check_request", "CheckRequest", {"attributes": CHECK}),
    ("check_allowed", "CheckResponse", {"status": {}, "dynamic_metadata": METADATA, "ok_response": {
        "headers": [OPTION], "dynamic_metadata": METADATA, "headers_to_remove": ["x-b"],
        "response_headers_to_add": [OPTION],
        "query_parameters_to_set": [{"key": "q", "value": "1"}],
        "query_parameters_to_remove": ["r"]}}),
    ("check_denied", "CheckResponse", {"status": {"code": 7}, "denied_response": DENIED}),
    ("check_failed", "CheckResponse", {"status": {"code": 13}, "error_response": DENIED}),
]


def main():
    made = classes()
    for name, kind, fields in GOLDEN:
        print(name, made[kind](**fields).SerializeToString(deterministic=True).hex())


if __name__ == "__main__":
    main()
