use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;
use crate::cni::SOCKET;

const CONFIG: &str = r#"{"cniVersion":"1.0.0","name":"pods","type":"ambit-cni",
    "cni_agent_run_dir":"RUN","exclude_namespaces":["kube-system"],
    "prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],
      "ips":[{"address":"10.1.0.5/24","gateway":"10.1.0.1","interface":0},
             {"address":"fd00::5/64"}]}}"#;

fn request(verb: &str, run_dir: &Path, namespace: &str) -> Request {
    let arguments = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME=web");
    let variable = |name: &str| match name {
        "CNI_COMMAND" => Some(verb.to_owned()),
        "CNI_NETNS" => Some("/var/run/netns/cni-1".to_owned()),
        "CNI_ARGS" => Some(arguments.clone()),
        _ => None,
    };
    let config = CONFIG.replace("RUN", &run_dir.display().to_string());
    Request::read(variable, config.as_bytes()).expect("a request")
}

/// Takes one call, gives `answer`, and returns what was asked.
async fn agent(listener: UnixListener, answer: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.expect("a call");
    let mut asked = Vec::new();
    let whole = |asked: &[u8]| {
        let text = String::from_utf8_lossy(asked);
        text.split_once("\r\n\r\n").is_some_and(|(_, b)| serde_json::from_str::<Value>(b).is_ok())
    };
    while !whole(&asked) {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).await.expect("bytes");
        assert_ne!(n, 0, "the call broke off");
        asked.extend_from_slice(&buffer[..n]);
    }
    stream.write_all(answer.as_bytes()).await.expect("answered");
    String::from_utf8_lossy(&asked).into_owned()
}

#[tokio::test]
async fn a_pod_starts_when_the_agent_says_yes_and_its_network_is_passed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("listens");
    let yes = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let agent = tokio::spawn(agent(listener, yes));
    let answer = run(&request("ADD", folder.path(), "shop")).await.expect("may start");
    assert_eq!(answer.expect("a result")["ips"][0]["address"], "10.1.0.5/24");
    let asked = agent.await.expect("asked");
    assert!(asked.starts_with("POST /cmdadd HTTP/1.1\r\n"), "{asked}");
    let (_, body) = asked.split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let want = json!({
        "Netns": "/var/run/netns/cni-1", "PodName": "web", "PodNamespace": "shop",
        "IPs": [
            {"Interface": 0, "Address": {"IP": "10.1.0.5", "Mask": "////AA=="},
             "Gateway": "10.1.0.1"},
            {"Interface": null, "Address": {"IP": "fd00::5", "Mask": "//////////8AAAAAAAAAAA=="},
             "Gateway": ""},
        ],
    });
    assert_eq!(body, want);
}

#[tokio::test]
async fn a_pod_does_not_start_when_the_agent_says_no_or_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let away = run(&request("ADD", folder.path(), "shop")).await.expect_err("nobody is there");
    let said = away.to_json("1.0.0");
    assert_eq!((&said["code"], &said["cniVersion"]), (&json!(100), &json!("1.0.0")));
    let text = said["msg"].as_str().expect("words");
    assert!(text.contains("shop/web") && text.contains("DaemonSet"), "{text}");

    let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("listens");
    let no = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 8\r\n\r\nno proxy";
    let agent = tokio::spawn(agent(listener, no));
    let refused = run(&request("ADD", folder.path(), "shop")).await.expect_err("refused");
    assert!(refused.to_json("1.0.0")["msg"].as_str().expect("words").contains("no proxy"));
    agent.await.expect("asked");
}

#[tokio::test]
async fn nobody_is_asked_for_an_excluded_namespace_or_an_end() {
    let nowhere = Path::new("/nonexistent");
    assert!(run(&request("ADD", nowhere, "kube-system")).await.expect("starts").is_some());
    for verb in ["DEL", "CHECK", "GC", "STATUS"] {
        assert!(run(&request(verb, nowhere, "shop")).await.expect(verb).is_none());
    }
    let versions = run(&request("VERSION", nowhere, "shop")).await.expect("versions");
    assert_eq!(versions.expect("some")["supportedVersions"], json!(VERSIONS));
}

#[test]
fn a_request_that_makes_no_sense_is_refused_with_its_code() {
    let read = |verb: Option<&str>, input: &str| {
        let variable = |name: &str| verb.filter(|_| name == "CNI_COMMAND").map(str::to_owned);
        PluginError::from(Request::read(variable, input.as_bytes()).expect_err("refused"))
    };
    for (case, error, code) in [
        ("by hand", read(None, "{}"), 4),
        ("no JSON", read(Some("ADD"), "x"), 6),
        ("an old version", read(Some("ADD"), r#"{"cniVersion":"0.2.0"}"#), 1),
    ] {
        assert_eq!(error.to_json("1.0.0")["code"], json!(code), "{case}: {error}");
    }
    let first = Request::read(
        |name| (name == "CNI_COMMAND").then(|| "ADD".to_owned()),
        br#"{"cniVersion":"1.0.0"}"#,
    );
    let error = first.expect("read").previous_result().expect_err("alone").to_string();
    assert!(error.contains("prevResult"), "{error}");
}

#[tokio::test]
async fn a_reason_without_end_is_not_repeated() {
    for (length, repeated) in [(call::MAX_ANSWER, true), (call::MAX_ANSWER + 1, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("listens");
        let reason = "x".repeat(length);
        let no = format!("HTTP/1.1 500 No\r\ncontent-length: {length}\r\n\r\n{reason}");
        let agent = tokio::spawn(agent(listener, no.leak()));
        let refused = run(&request("ADD", folder.path(), "shop")).await.expect_err("refused");
        let text = refused.to_json("1.0.0")["msg"].as_str().expect("words").to_owned();
        assert!(text.contains("500"), "{text}");
        assert_eq!(text.contains(&reason), repeated, "{length}");
        agent.await.expect("asked");
    }
}
