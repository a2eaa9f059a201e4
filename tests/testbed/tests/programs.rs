//! The testbed's own programs, and unmodified ones, in pods.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use testbed::{Pod, Process, Testbed, process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SOON: Duration = Duration::from_secs(20);

async fn pair(bed: &Testbed) -> anyhow::Result<(Pod, Pod, Process)> {
    let nodes = bed.nodes(2)?;
    let (web, store) = (bed.pod("shop/web", &nodes[0])?, bed.pod("shop/store", &nodes[1])?);
    let mut server = store.command(env!("CARGO_BIN_EXE_bed-echo")).spawn()?;
    server.logs("ready", SOON).await?;
    Ok((web, store, server))
}

fn load(pod: &Pod, what: &str, to: SocketAddr) -> testbed::Command {
    pod.command(env!("CARGO_BIN_EXE_bed-load")).arg(what).arg(to.to_string())
}

testbed::scenario! {
    async fn every_kind_of_load_is_right_in_both_families(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, _server) = pair(&bed).await?;
        for ip in store.ips() {
            for (what, bytes) in [("echo", 2_000_000), ("upload", 1_000_000), ("download", 1_000_000), ("chat", 92)] {
                let load = load(&web, what, SocketAddr::new(ip, 7));
                let done = load.args(["--connections", "3", "--bytes", "1000000"]).run(SOON).await?;
                let report: Value = serde_json::from_str(&done.success()?)?;
                assert_eq!(report["failed"], 0, "{what}: {report}");
                assert_eq!(report["bytes"], 3 * bytes, "{what}: {report}");
            }
        }
        Ok(())
    }

    async fn a_server_that_dies_is_a_failure(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, server) = pair(&bed).await?;
        let mut open = load(&web, "open", SocketAddr::new(store.ip4().into(), 7))
            .args(["--connections", "20"]).piped().spawn()?;
        open.logs("20 open", SOON).await?;
        server.kill().await?;
        drop(open.stdin());
        let done = open.wait(SOON).await?;
        assert_eq!(done.code(), Some(1));
        assert!(done.text().contains("\"failed\":20"), "{}", done.text());
        Ok(())
    }

    async fn the_server_says_whom_it_sees(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, _server) = pair(&bed).await?;
        for (mine, ip) in web.ips().into_iter().zip(store.ips()) {
            let to = SocketAddr::new(ip, 7);
            let stream = web.netns().run(|| std::net::TcpStream::connect(to))??;
            stream.set_nonblocking(true)?;
            let mut stream = tokio::net::TcpStream::from_std(stream)?;
            stream.write_all(b"peer\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            assert!(answer.starts_with(&format!("{mine} ")), "{answer}");
        }
        Ok(())
    }

    async fn programs_are_found_beside_the_test(bed: Testbed) {
        drop(bed);
        assert_eq!(process::program("bed-echo").unwrap(), std::path::Path::new(env!("CARGO_BIN_EXE_bed-echo")));
        let error = process::program("bed-nothing").unwrap_err().to_string();
        assert!(error.contains("cargo build -p ambit-testbed --bins"), "{error}");
    }

    async fn a_pod_is_announced_as_a_container_runtime_would(bed: Testbed) -> anyhow::Result<()> {
        let nodes = bed.nodes(1)?;
        let pod = bed.pod("shop/web", &nodes[0])?;
        let run_dir = bed.directory("agent")?;
        let error = pod.announce(&run_dir).await.unwrap_err().to_string();
        assert!(error.starts_with("node agent at /run/bed/agent/pluginevent.sock: "), "{error}");
        let agent = tokio::net::UnixListener::bind(run_dir.join("pluginevent.sock"))?;
        for (answer, works) in [("200 OK", true), ("500 Internal Server Error", false)] {
            let serve = async {
                let (mut stream, _) = agent.accept().await?;
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await?;
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\nno room").as_bytes()).await?;
                anyhow::Ok(String::from_utf8(request[..length].to_vec())?)
            };
            let (request, announced) = tokio::join!(serve, pod.announce(&run_dir));
            let request = request?;
            let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
            assert!(head.starts_with("POST /cmdadd HTTP/1.1\r\n"), "{head}");
            let body: Value = serde_json::from_str(body)?;
            assert_eq!(body["Netns"], pod.netns().path().to_str().unwrap());
            assert_eq!((&body["PodName"], &body["PodNamespace"]), (&"web".into(), &"shop".into()));
            assert_eq!(body["IPs"][0]["Address"]["IP"], "10.244.1.2");
            assert_eq!(body["IPs"][0]["Address"]["Mask"], "/////w==");
            assert_eq!(body["IPs"][1]["Address"]["IP"], "fd00:244:1::2");
            match announced {
                Ok(()) => assert!(works),
                Err(error) => assert!(!works && error.to_string().ends_with("status 500: no room"), "{error}"),
            }
        }
        Ok(())
    }

    async fn curl_talks_to_nginx(bed: Testbed) -> anyhow::Result<()> {
        if bed.command("nginx").arg("-v").run(SOON).await.is_err() {
            println!("skipped: nginx is not installed");
            return Ok(());
        }
        let nodes = bed.nodes(2)?;
        let (web, store) = (bed.pod("shop/web", &nodes[0])?, bed.pod("shop/store", &nodes[1])?);
        let home = bed.directory("nginx")?;
        let config = home.join("nginx.conf");
        std::fs::write(&config, "user root; daemon off; pid nginx.pid; error_log stderr;\n\
            events {} http { access_log off; client_body_temp_path a; proxy_temp_path b;\n\
            fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e; server { listen 80; listen [::]:80;\n\
            location / { return 200 \"you are $remote_addr\\n\"; } } }\n")?;
        let _nginx = store.command("nginx").args(["-e", "stderr", "-p"]).arg(&home).arg("-c").arg(&config).spawn()?;
        bed.host("store", &store.ips())?;
        for (family, mine) in [("-4", web.ip4().to_string()), ("-6", web.ip6().to_string())] {
            let curl = web.command("curl").args([family, "-sS", "--retry-connrefused", "--retry", "20",
                "--retry-delay", "1", "http://store/"]);
            assert_eq!(curl.run(SOON).await?.success()?, format!("you are {mine}\n"));
        }
        Ok(())
    }
}
