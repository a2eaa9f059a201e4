//! What tests of waypoints begin with: a Gateway, a Service and a ServiceEntry behind
//! it, and one of each that are not.

pub(super) const SHOP: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: m, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop, labels: {istio.io/use-waypoint: wp}}
spec: {selector: {app: store}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: shop}
spec: {selector: {app: plain}, ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop, labels: {istio.io/use-waypoint: wp}}
spec: {hosts: [a.example.com, b.example.com], ports: [{number: 80, name: http}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: loose, namespace: shop}
spec: {hosts: [c.example.com], ports: [{number: 80, name: http}], resolution: DNS}
---
";
