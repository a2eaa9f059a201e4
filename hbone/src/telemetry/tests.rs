use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tracing::{debug, info, info_span, warn};

use super::log::{Levels, LineWriter};
use super::*;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` logs, line by line.
fn logged(format: LogFormat, levels: &str, work: impl FnOnce(&Logging)) -> Vec<String> {
    let output = Output::default();
    let levels: Levels = levels.parse().expect("levels");
    let writer = LineWriter::to(output.clone());
    let (logging, subscriber) = Logging::build(format, levels, writer);
    tracing::subscriber::with_default(subscriber, || work(&logging));
    logging.flush();
    let text = String::from_utf8(output.0.lock().expect("not poisoned").clone()).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

/// Without the time.
fn columns(line: &str) -> String {
    line.split_once('\t').expect("a time").1.to_owned()
}

#[test]
fn plain_lines_have_the_columns_of_the_contract() {
    let lines = logged(LogFormat::Plain, "info", |_| {
        tracing::event!(target: "access", tracing::Level::INFO, src.addr = %"10.0.0.1:80", dst.service = "web.shop", bytes_sent = 5, "connection complete");
        info_span!("xds", id = 7).in_scope(|| warn!(target: "client", "lost"));
    });
    assert_eq!(
        columns(&lines[0]),
        "info\taccess\tconnection complete\tsrc.addr=10.0.0.1:80 dst.service=\"web.shop\" bytes_sent=5"
    );
    assert_eq!(columns(&lines[1]), "warn\tclient:xds{id=7}\tlost");
    let time = lines[0].split('\t').next().expect("a time");
    let format = &time::format_description::well_known::Rfc3339;
    assert!(time::OffsetDateTime::parse(time, format).is_ok(), "{time}");
}

#[test]
fn json_lines_have_the_members_of_the_contract() {
    let lines = logged(LogFormat::Json, "info", |_| {
        info_span!("xds", id = 7, peer = tracing::field::Empty).in_scope(|| {
            tracing::Span::current().record("peer", "a\"b");
            tracing::event!(target: "access", tracing::Level::INFO, src.addr = %"10.0.0.1:80", ok = true, scope = "forged", "connection complete");
        });
    });
    let mut object: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    object.as_object_mut().expect("object").remove("time").expect("a time");
    assert_eq!(
        object,
        serde_json::json!({
            "level": "info", "scope": "access", "message": "connection complete",
            "src.addr": "10.0.0.1:80", "ok": true, "xds": {"id": 7, "peer": "a\"b"},
        })
    );
}

#[test]
fn what_others_wrote_breaks_no_line() {
    let evil = "x\r\n2026-01-01\tinfo\taccess\u{1b}[31m\u{2028} \"quoted\" \\";
    for format in [LogFormat::Plain, LogFormat::Json] {
        let lines = logged(format, "info", |_| {
            info!(target: "access", text = evil, shown = %evil, debugged = ?evil, "{evil}");
        });
        assert_eq!(lines.len(), 1, "{format:?}: {lines:?}");
        assert!(!lines[0].contains(['\r', '\u{1b}']), "{format:?}: {lines:?}");
    }
    let lines = logged(LogFormat::Plain, "info", |_| info!(target: "access", text = evil, "m"));
    assert_eq!(lines[0].split('\t').count(), 5, "no forged column: {lines:?}");
}

#[test]
fn levels_change_while_running() {
    let lines = logged(LogFormat::Plain, "info,access=off", |logging| {
        info!(target: "access", "hidden");
        debug!(target: "xds", "hidden");
        logging.change(false, &"access=debug".parse().expect("levels"));
        debug!(target: "access", "one");
        logging.change(false, &"debug".parse().expect("levels"));
        debug!(target: "xds", "two");
        assert_eq!(logging.levels().to_string(), "debug");
        logging.change(true, &Levels::default());
        info!(target: "access", "hidden");
        assert_eq!(logging.levels().to_string(), "info,access=off");
    });
    let messages: Vec<&str> = lines.iter().filter_map(|line| line.split('\t').nth(3)).collect();
    assert_eq!(messages, ["one", "two"]);
}

#[test]
fn levels_are_read_or_refused() {
    for (text, want) in [
        ("", Some("info")),
        ("warn", Some("warn")),
        ("WARN , access=off", Some("warn,access=off")),
        ("access:off", None),
        ("access", None),
        ("access=", None),
        ("=info", None),
        ("a b=info", None),
        ("info,x=loud", None),
    ] {
        let read = text.parse::<Levels>().ok().map(|levels| levels.to_string());
        assert_eq!(read.as_deref(), want, "{text:?}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("s{n}=info")).collect();
    assert!(many.join(",").parse::<Levels>().is_err(), "bounded");
    let long = format!("{}=info", "s".repeat(257));
    assert!(long.parse::<Levels>().is_err(), "bounded");
    assert!("yaml".parse::<LogFormat>().is_err());
}

#[test]
fn a_line_without_end_is_cut_and_a_stalled_reader_costs_lines_only() {
    struct Stalled(std::sync::mpsc::Receiver<()>);
    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (go, wait) = std::sync::mpsc::channel();
    let mut writer = LineWriter::to(Stalled(wait));
    for _ in 0..5000 {
        writer.write_all(b"line\n").expect("never blocks");
    }
    let dropped = writer.dropped().get();
    assert!(dropped >= 900);
    let (logging, _subscriber) = Logging::build(LogFormat::Plain, Levels::info(), writer);
    let mut registry = Registry::default();
    logging.register(&mut registry);
    let mut page = String::new();
    encode(&mut page, &registry).expect("encoded");
    assert!(page.contains(&format!("ambit_log_lines_dropped_total {dropped}\n")), "{page}");
    drop(go);

    let lines = logged(LogFormat::Plain, "info", |_| {
        info!(target: "access", text = "x".repeat(1 << 20), "long");
        info!(target: "access", "next");
    });
    assert_eq!(lines.len(), 2);
    assert!(lines[0].len() <= 16 << 10);
}

fn labels() -> TrafficLabels {
    TrafficLabels {
        reporter: Reporter::Source,
        source: Some(Arc::new(WorkloadLabels {
            workload: "web".into(),
            canonical_service: "web-svc".into(),
            canonical_revision: "v1".into(),
            namespace: "shop".into(),
            cluster: "Kubernetes".into(),
            ..WorkloadLabels::default()
        })),
        source_principal: Some("spiffe://cluster.local/ns/shop/sa/web".into()),
        service: None,
        destination: None,
        destination_principal: None,
        request_protocol: "tcp",
        response_flags: ResponseFlag::Deny.as_str(),
        mutual_tls: true,
    }
}

fn page(labels: &TrafficLabels) -> String {
    let family = Family::<TrafficLabels, Counter>::default();
    family.get_or_create(labels).inc();
    let mut registry = Registry::default();
    registry.register("istio_tcp_connections_opened", "Opened", family);
    let mut text = String::new();
    encode(&mut text, &registry).expect("encoded");
    text
}

#[test]
fn traffic_labels_come_in_order_and_are_never_empty() {
    let want = concat!(
        "istio_tcp_connections_opened_total{reporter=\"source\",source_workload=\"web\",",
        "source_canonical_service=\"web-svc\",source_canonical_revision=\"v1\",",
        "source_workload_namespace=\"shop\",",
        "source_principal=\"spiffe://cluster.local/ns/shop/sa/web\",source_app=\"web-svc\",",
        "source_version=\"v1\",source_cluster=\"Kubernetes\",destination_service=\"unknown\",",
        "destination_service_namespace=\"unknown\",destination_service_name=\"unknown\",",
        "destination_workload=\"unknown\",destination_canonical_service=\"unknown\",",
        "destination_canonical_revision=\"unknown\",destination_workload_namespace=\"unknown\",",
        "destination_app=\"unknown\",destination_version=\"unknown\",",
        "destination_cluster=\"unknown\",destination_principal=\"unknown\",",
        "request_protocol=\"tcp\",response_flags=\"DENY\",",
        "connection_security_policy=\"mutual_tls\",source_region=\"unknown\",",
        "source_zone=\"unknown\",destination_region=\"unknown\",destination_zone=\"unknown\"} 1\n",
    );
    assert!(page(&labels()).contains(want), "{}", page(&labels()));
}

#[test]
fn localities_are_absent_while_no_workload_is_known() {
    let text = page(&TrafficLabels { source: None, mutual_tls: false, ..labels() });
    assert!(!text.contains("region"), "{text}");
    assert!(text.contains("connection_security_policy=\"unknown\""), "{text}");
}

#[test]
fn a_process_tells_its_open_files() {
    let mut registry = Registry::default();
    process::register(&mut registry, "ztunnel", "1.0");
    let mut text = String::new();
    encode(&mut text, &registry).expect("encoded");
    assert!(text.contains("istio_build{component=\"ztunnel\",tag=\"1.0\"} 1"), "{text}");
    for name in ["process_open_fds ", "process_max_fds ", "ambit_process_resident_memory_bytes "] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert!(line.parse::<u64>().expect("a number") > 0, "{name}{line}");
    }
}
