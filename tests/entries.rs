//! Services that run outside the mesh: reached by name, address and waypoint, from the change of a
//! file to its effect.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use testbed::manifests::authorization_policy;
use testbed::mesh::{Mesh, MeshPod, PATIENCE};
use testbed::process::Process;
use testbed::{Testbed, eventually};

use names::Names;

#[path = "support/names.rs"]
mod names;

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// From the change of a file to its effect.
const EFFECT: Duration = Duration::from_secs(2);

/// A mesh with a client, and a web server that no part of it knows.
struct Lab {
    bed: Testbed,
    mesh: Mesh,
    web: MeshPod,
    /// The server's address.
    outside: Ipv4Addr,
    _server: Process,
}

impl Lab {
    async fn open(bed: &Testbed) -> anyhow::Result<Self> {
        let mesh = Mesh::start(bed, AMBIT).await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let [IpAddr::V4(outside), _] = bed.infra_ips() else { anyhow::bail!("no IPv4") };
        let server = serve(bed, 8080, "outside").await?;
        Ok(Self { bed: bed.clone(), mesh, web, outside, _server: server })
    }

    /// A ServiceEntry of namespace shop.
    fn entry(&self, name: &str, labels: &Value, spec: Value) -> anyhow::Result<()> {
        let mut spec = spec;
        if spec.get("ports").is_none() {
            spec["ports"] =
                json!([{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}]);
        }
        let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
            "metadata": {"name": name, "namespace": "shop", "labels": labels}, "spec": spec});
        Ok(self.mesh.apply(&entry)?)
    }

    /// The IPv4 address of a host, once every ztunnel knows it.
    async fn vip(&self, host: &str) -> anyhow::Result<Ipv4Addr> {
        let mut vip = None;
        let waited = eventually(format!("an address of {host} is known"), PATIENCE, async || {
            self.mesh
                .every_dump(|dump| {
                    vip = address(dump, host);
                    vip.is_some()
                })
                .await
        });
        waited.await?;
        vip.context("an address")
    }

    /// The status of an answer for `host`; none if there is none. The client knows the address as
    /// from DNS.
    async fn get(&self, host: &str, vip: Ipv4Addr, path: &str) -> anyhow::Result<Option<u16>> {
        let resolve = format!("{host}:80:{vip}");
        let url = format!("http://{host}{path}");
        let args = [
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--max-time",
            "5",
            "--resolve",
            &resolve,
            &url,
        ];
        let status = self.web.curl(args).await?.text();
        Ok(status.parse().ok().filter(|status| *status != 0))
    }

    async fn until(
        &self,
        what: &str,
        host: &str,
        vip: Ipv4Addr,
        path: &str,
        wanted: Option<u16>,
    ) -> anyhow::Result<()> {
        let waited = eventually(what, PATIENCE, async || {
            self.get(host, vip, path).await.ok() == Some(wanted)
        });
        if waited.await.is_err() {
            anyhow::bail!("{what}: {:?}, not {wanted:?}", self.get(host, vip, path).await?);
        }
        Ok(())
    }

    /// A name server that every program of the run asks.
    async fn names(&self) -> anyhow::Result<Names> {
        let names = Names::serve(SocketAddr::new(self.outside.into(), 53)).await?;
        let resolver = self.bed.directory("")?.join("resolv.conf");
        // In place, because the file is bind-mounted over /etc/resolv.conf.
        fs::write(resolver, format!("nameserver {}\n", self.outside))?;
        Ok(names)
    }
}

/// A plain web server outside the mesh, whose page `/orders` says who it is.
async fn serve(bed: &Testbed, port: u16, says: &str) -> anyhow::Result<Process> {
    let files = bed.directory(&format!("www-{port}"))?;
    fs::write(files.join("orders"), says)?;
    fs::write(files.join("admin"), says)?;
    let args = ["-m", "http.server", "--bind", "0.0.0.0", "--directory"];
    let server = bed.command("python3").args(args).arg(&files).arg(port.to_string());
    let server = server.named(&format!("outside-{port}")).spawn()?;
    eventually("the server outside listens", PATIENCE, async || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await?;
    Ok(server)
}

fn address(dump: &Value, host: &str) -> Option<Ipv4Addr> {
    let services = dump["services"].as_array()?;
    let service = services.iter().find(|service| service["hostname"] == host)?;
    let vips = service["vips"].as_array()?;
    vips.iter().find_map(|vip| vip.as_str()?.rsplit('/').next()?.parse().ok())
}

testbed::scenario! {
    async fn a_service_outside_is_reached_by_its_given_address_and_named(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let lab = Lab::open(&bed).await?;
        let host = "api.example.com";
        let at = |address: &str| json!({"hosts": [host], "resolution": "STATIC",
            "endpoints": [{"address": address}]});
        lab.entry("api", &json!({}), at(&lab.outside.to_string()))?;
        let vip = lab.vip(host).await?;
        assert_eq!(vip.octets()[..2], [240, 240], "given by control");
        lab.until("the service answers", host, vip, "/orders", Some(200)).await?;
        let line = lab.web.ztunnel()?.logs("connection complete").with("direction", "outbound")
            .with("dst.service", host).await?;
        assert_eq!(line["dst.addr"], format!("{}:8080", lab.outside), "{line}");
        assert_eq!(line.get("dst.identity"), None, "plain TCP: {line}");
        let metrics = lab.web.ztunnel()?.metrics().await?;
        let labels = [("destination_service", host), ("connection_security_policy", "unknown")];
        assert!(metrics.sum("istio_tcp_connections_opened_total", &labels) >= 1.0);

        // It has the same address after a restart, and another endpoint as soon as one is written.
        lab.mesh.control().kill().await?;
        assert_eq!(lab.get(host, vip, "/orders").await?, Some(200), "without control");
        lab.mesh.control().start()?;
        lab.mesh.ready().await?;
        assert_eq!(lab.vip(host).await?, vip);
        lab.entry("api", &json!({}), at("192.0.2.250"))?;
        lab.until("nobody is at the new endpoint", host, vip, "/orders", None).await?;
        lab.entry("api", &json!({}), at(&lab.outside.to_string()))?;
        lab.until("the old one is back", host, vip, "/orders", Some(200)).await?;
        lab.mesh.remove("ServiceEntry", "shop", "api")?;
        lab.until("it is gone", host, vip, "/orders", None).await?;
        Ok(())
    }

    async fn a_name_is_resolved_and_what_has_no_address_is_refused_with_the_reason(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let lab = Lab::open(&bed).await?;
        let names = lab.names().await?;
        let host = "db.example.com";
        names.set(host, Some((lab.outside, 1)));
        lab.entry("db", &json!({}), json!({"hosts": [host], "resolution": "DNS"}))?;
        let vip = lab.vip(host).await?;
        lab.until("the name is resolved", host, vip, "/orders", Some(200)).await?;

        let mark = lab.web.ztunnel()?.mark();
        names.set(host, None);
        lab.until("the name is gone", host, vip, "/orders", None).await?;
        let why = format!("host name {host} is not resolved: there is no such name");
        lab.web.ztunnel()?.logs("connection complete").since(mark).with("error", why)
            .with("dst.service", host).await?;
        let metrics = lab.web.ztunnel()?.metrics().await?;
        for result in ["found", "no_such_name"] {
            assert!(metrics.sum("ambit_dns_lookups_total", &[("result", result)]) >= 1.0, "{result}");
        }
        names.set(host, Some((lab.outside, 1)));
        lab.until("the name is back", host, vip, "/orders", Some(200)).await?;

        // Without any server it is refused as well, and others go on.
        drop(names);
        let mark = lab.web.ztunnel()?.mark();
        lab.until("nobody answers", host, vip, "/orders", None).await?;
        let failed = lab.web.ztunnel()?.logs("connection complete").since(mark)
            .with("dst.service", host).with("level", "error");
        let line = failed.await?;
        assert!(line["error"].as_str().is_some_and(|e| e.contains("is not resolved")), "{line}");
        let late = lab.mesh.pod("shop/late").on("node-b").echoing().enrolled().await?;
        lab.web.is_seen_as(late.at4(7)).await?;
        Ok(())
    }

    async fn a_workload_entry_stands_behind_entries_and_services(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let lab = Lab::open(&bed).await?;
        let vm = |labels: Value| json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": "vm", "namespace": "shop"},
            "spec": {"address": lab.outside.to_string(), "ports": {"http": 8080}, "labels": labels}});
        lab.mesh.apply(&vm(json!({"app": "legacy"})))?;
        let selector = json!({"hosts": ["legacy.example.com"], "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http"}],
            "workloadSelector": {"labels": {"app": "legacy"}}});
        lab.entry("legacy", &json!({}), selector)?;
        let vip = lab.vip("legacy.example.com").await?;
        lab.until("by the entry", "legacy.example.com", vip, "/orders", Some(200)).await?;
        let service = lab.mesh.service("shop/legacy").named_port("http", 80, 9999).create()?;
        lab.mesh.has_service(&service).await?;
        lab.until("by the service", "legacy", service.ip4, "/orders", Some(200)).await?;
        lab.web.ztunnel()?.logs("connection complete").with("direction", "outbound")
            .with("dst.service", &service.host).with("dst.workload", "vm").await?;

        // Its labels decide, and then nobody stands behind either.
        lab.mesh.apply(&vm(json!({"app": "other"})))?;
        lab.until("not by the entry", "legacy.example.com", vip, "/orders", None).await?;
        lab.until("nor by the service", "legacy", service.ip4, "/orders", None).await?;
        lab.mesh.control().status_is("the entry says that it has no endpoint", |status| {
            status["objects"]["ServiceEntry shop/legacy"].to_string().contains("NoEndpoints")
        }).await?;
        Ok(())
    }

    async fn a_waypoint_decides_about_services_outside(bed: Testbed) -> anyhow::Result<()> {
        let lab = Lab::open(&bed).await?;
        let names = lab.names().await?;
        names.set("db.example.com", Some((lab.outside, 1)));
        names.set("a.wild.example", Some((lab.outside, 1)));
        let bound = json!({"istio.io/use-waypoint": "waypoint"});
        let spec = |host: &str, more: Value| {
            let mut spec = json!({"hosts": [host]});
            for (key, value) in more.as_object().into_iter().flatten() {
                spec[key] = value.clone();
            }
            spec
        };
        let fixed = json!({"resolution": "STATIC", "endpoints": [{"address": lab.outside.to_string()}]});
        lab.entry("api", &bound, spec("api.example.com", fixed))?;
        lab.entry("db", &bound, spec("db.example.com", json!({"resolution": "DNS"})))?;
        lab.entry("wild", &bound, spec("*.wild.example", json!({"resolution": "DYNAMIC_DNS"})))?;
        let direct = json!({"addresses": [format!("{}/32", lab.outside)], "resolution": "NONE",
            "ports": [{"number": 8080, "name": "http", "protocol": "HTTP"}]});
        lab.entry("direct", &bound, spec("direct.example.com", direct))?;
        let vip = lab.vip("api.example.com").await?;
        // Named while it is missing: nobody gets around it.
        lab.until("there is no waypoint yet", "api.example.com", vip, "/orders", None).await?;
        let waypoint = lab.mesh.waypoint("shop/waypoint", "node-b").await?;
        lab.until("through the waypoint", "api.example.com", vip, "/orders", Some(200)).await?;

        let deny = json!({
            "targetRefs": [{"group": "networking.istio.io", "kind": "ServiceEntry", "name": "api"}],
            "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}],
        });
        lab.mesh.apply(&authorization_policy(("shop", "no-admin"), "DENY", deny))?;
        lab.until("the policy is in force", "api.example.com", vip, "/admin", Some(403)).await?;
        assert_eq!(lab.get("api.example.com", vip, "/orders").await?, Some(200));
        lab.mesh.node("node-b")?.logs("request").with("path", "/orders")
            .with("response_code", 200).with("src.identity", lab.web.identity())
            .with("upstream_host", format!("{}:8080", lab.outside)).await?;
        lab.web.ztunnel()?.logs("connection complete").with("direction", "outbound")
            .with("dst.service", "api.example.com").with("dst.identity", waypoint.identity()).await?;

        let db = lab.vip("db.example.com").await?;
        lab.until("a name", "db.example.com", db, "/orders", Some(200)).await?;
        let wild = lab.vip("*.wild.example").await?;
        lab.until("a name below a wildcard", "a.wild.example", wild, "/orders", Some(200)).await?;
        assert_eq!(lab.get("b.wild.example", wild, "/orders").await?, Some(503), "no such name");
        lab.mesh.node("node-b")?.logs("request").with("authority", "b.wild.example")
            .with("response_code_details", "dns_resolution_failed").await?;

        // What was dialled is the endpoint, and the waypoint is not walked around by address.
        let url = format!("http://{}:8080/orders", lab.outside);
        let mark = lab.mesh.node("node-b")?.mark();
        assert!(lab.web.curl(["--fail", url.as_str()]).await?.success()?.contains("outside"));
        lab.mesh.node("node-b")?.logs("request").since(mark)
            .with("upstream_host", format!("{}:8080", lab.outside)).await?;

        lab.mesh.remove("AuthorizationPolicy", "shop", "no-admin")?;
        lab.until("the policy is gone", "api.example.com", vip, "/admin", Some(200)).await?;
        lab.entry("api", &json!({}), spec("api.example.com", json!({"resolution": "STATIC",
            "endpoints": [{"address": lab.outside.to_string()}]})))?;
        lab.mesh.control().status_is("it is unbound", |status| {
            !status["objects"]["ServiceEntry shop/api"].to_string().contains("WaypointBound")
        }).await?;
        lab.until("direct again", "api.example.com", vip, "/orders", Some(200)).await?;
        Ok(())
    }

    async fn a_mistake_in_an_entry_is_reported_and_changes_nothing(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let lab = Lab::open(&bed).await?;
        let host = "api.example.com";
        let good = json!({"hosts": [host], "resolution": "STATIC",
            "endpoints": [{"address": lab.outside.to_string()}]});
        lab.entry("api", &json!({}), good.clone())?;
        let vip = lab.vip(host).await?;
        lab.until("the service answers", host, vip, "/orders", Some(200)).await?;
        for (field, bad) in [
            ("spec.resolution", json!({"hosts": [host], "resolution": "STATIC"})),
            ("spec.hosts[0]", json!({"hosts": ["api..com"], "resolution": "DNS"})),
            ("spec.endpionts", json!({"hosts": [host], "resolution": "DNS", "endpionts": []})),
        ] {
            lab.entry("api", &json!({}), bad)?;
            lab.mesh.control().status_is(&format!("{field} is reported"), |status| {
                let problems = status["problems"].as_array();
                problems.is_some_and(|all| all.iter().any(|problem| {
                    problem["object"] == "ServiceEntry shop/api" && problem["field"] == field
                }))
            }).await?;
            assert_eq!(lab.get(host, vip, "/orders").await?, Some(200), "{field}: the last good one");
        }
        let other = json!({"hosts": ["other.example.com"], "resolution": "STATIC",
            "endpoints": [{"address": lab.outside.to_string()}]});
        lab.entry("other", &json!({}), other)?;
        let another = lab.vip("other.example.com").await?;
        assert_ne!(another, vip);
        lab.until("others go on", "other.example.com", another, "/orders", Some(200)).await?;
        lab.entry("api", &json!({}), good)?;
        lab.mesh.control().status_is("nothing is wrong any longer", |status| {
            status["problems"].as_array().is_some_and(Vec::is_empty)
        }).await?;
        assert_eq!(lab.vip(host).await?, vip, "it kept its address");
        let waited = eventually("at once", EFFECT, async || {
            lab.get(host, vip, "/orders").await.ok() == Some(Some(200))
        });
        waited.await?;
        Ok(())
    }
}
