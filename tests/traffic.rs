//! Unmodified programs talk through the mesh; what is on the wire, and who is seen.

use testbed::Testbed;
use testbed::mesh::{Mesh, MeshPod, Pair};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// A web server of Python's library with one page.
async fn python_serves(bed: &Testbed, pod: &MeshPod, page: &str) -> anyhow::Result<()> {
    let files = bed.directory("www")?;
    std::fs::write(files.join("index.html"), page)?;
    let server = pod.command("python3").args(["-m", "http.server", "8080", "--bind", "::"]);
    Ok(pod.serve(&server.arg("--directory").arg(&files), 8080).await?)
}

/// nginx with one page, both families, on port 8081.
async fn nginx_serves(bed: &Testbed, pod: &MeshPod, page: &str) -> anyhow::Result<()> {
    let home = bed.directory("nginx")?;
    let config = format!(
        "daemon off; pid {home}/pid; error_log stderr; user root;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p;\n\
         fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
         server {{ listen 8081; listen [::]:8081; client_max_body_size 1k;\n\
         location / {{ return 200 \"{page} to $remote_addr\"; }} }} }}\n",
        home = home.display()
    );
    let file = home.join("nginx.conf");
    std::fs::write(&file, config)?;
    Ok(pod.serve(&pod.command("nginx").arg("-c").arg(&file), 8081).await?)
}

testbed::scenario! {
    async fn curl_reaches_web_servers_and_only_tls_is_on_the_wire(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let shop = mesh.service("shop/shop").port(80, 8080).port(81, 8081)
            .selecting("app", "store").create()?;
        mesh.has_service(&shop).await?;
        python_serves(&bed, &store, "attack at dawn").await?;
        nginx_serves(&bed, &store, "attack at noon").await?;
        let capture = mesh.link()?.capture()?;
        for (ip, address) in [("-4", web.ips()[0]), ("-6", web.ips()[1])] {
            let python = web.curl([ip, "--fail", "http://shop/?question"]).await?.success()?;
            assert_eq!(python, "attack at dawn");
            let nginx = web.curl([ip, "--fail", "http://shop.shop:81/"]).await?.success()?;
            assert_eq!(nginx, format!("attack at noon to {address}"));
            let by_pod = format!("http://{}/", "store.shop.pod:8081");
            let nginx = web.curl([ip, "--fail", &by_pod]).await?.success()?;
            assert_eq!(nginx, format!("attack at noon to {address}"), "by the pod's address");
        }
        let recording = capture.stop().await?;
        let bytes = recording.holds_only_tls_to(15008)?;
        assert!(bytes > 2_000, "{bytes} bytes of TLS for six pages");
        for secret in ["attack", "GET /", "HTTP/1.1", "curl/", "question", "CONNECT"] {
            assert!(!recording.contains(secret.as_bytes()), "{secret} is on the wire");
        }
        Ok(())
    }

    async fn the_server_sees_the_address_of_the_client(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, service } = Pair::enrolled(&bed, AMBIT).await?;
        let other = mesh.pod("shop/other").on("node-b").enrolled().await?;
        for client in [&web, &other] {
            let [ip4, ip6] = client.ips().map(|ip| ip.to_string());
            assert_eq!(client.is_seen_as(store.at4(7)).await?, ip4);
            assert_eq!(client.is_seen_as(store.at6(7)).await?, ip6);
            assert_eq!(client.is_seen_as(service.at4(80)).await?, ip4);
            assert_eq!(client.is_seen_as(service.at6(80)).await?, ip6);
        }
        Ok(())
    }

    async fn both_identities_are_in_log_and_metrics(bed: Testbed) -> anyhow::Result<()> {
        let Pair { web, store, service, .. } = Pair::enrolled(&bed, AMBIT).await?;
        web.chat(service.at4(80)).await?.say("how much?").await?;
        for (pod, direction, reporter) in
            [(&web, "outbound", "source"), (&store, "inbound", "destination")]
        {
            let ztunnel = pod.ztunnel()?;
            let line = ztunnel.logs("connection complete").with("direction", direction)
                .with("src.identity", web.identity()).with("dst.identity", store.identity())
                .await?;
            for (field, value) in [
                ("src.workload", "web"), ("src.namespace", "shop"),
                ("dst.workload", "store"), ("dst.namespace", "shop"),
                ("dst.service", service.host.as_str()), ("level", "info"), ("scope", "access"),
            ] {
                assert_eq!(line[field], value, "{field} of {line}");
            }
            assert_eq!(line["dst.hbone_addr"], store.at4(7).to_string(), "{line}");
            let metrics = ztunnel.metrics().await?;
            let labels = [
                ("reporter", reporter),
                ("source_principal", &web.identity()),
                ("destination_principal", &store.identity()),
                ("destination_service", &service.host),
                ("connection_security_policy", "mutual_tls"),
                ("response_flags", "-"),
            ];
            for (name, least) in [
                ("istio_tcp_connections_opened_total", 1.0),
                ("istio_tcp_connections_closed_total", 1.0),
                ("istio_tcp_received_bytes_total", 21.0),
                ("istio_tcp_sent_bytes_total", 20.0),
            ] {
                let found = metrics.sum(name, &labels);
                assert!(found >= least, "{reporter}: {name} is {found}");
            }
        }
        Ok(())
    }

    async fn a_client_that_shuts_its_side_down_still_gets_its_answer(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { web, store, service, .. } = Pair::enrolled(&bed, AMBIT).await?;
        for to in [store.at4(7), store.at6(7), service.at4(80)] {
            // `sum` answers only after the end of the request.
            let upload = web.load("upload", to)?.args(["--connections", "4", "--bytes", "3000000"]);
            upload.run(testbed::mesh::PATIENCE).await?.success()?;
            // And `send` ends its own side before ours.
            let download = web.load("download", to)?.args(["--connections", "4"]);
            download.run(testbed::mesh::PATIENCE).await?.success()?;
        }
        Ok(())
    }

    async fn an_answer_before_the_end_of_an_upload_is_heard(bed: Testbed) -> anyhow::Result<()> {
        let Pair { web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        nginx_serves(&bed, &store, "never").await?;
        let upload = bed.directory("upload")?.join("large");
        std::fs::write(&upload, vec![b'x'; 20 << 20])?;
        let body = format!("@{}", upload.display());
        for ip in ["-4", "-6"] {
            // Without the header that makes curl wait for leave to send.
            let args = [ip, "--header", "Expect:", "--data-binary", &body, "http://store.shop.pod:8081/"];
            let page = web.curl(args).await?.success()?;
            assert!(page.contains("413 Request Entity Too Large"), "{page}");
        }
        Ok(())
    }

    async fn a_port_nobody_listens_on_is_refused_at_once(bed: Testbed) -> anyhow::Result<()> {
        let Pair { web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let start = std::time::Instant::now();
        let error = web.asks(store.at4(9), "peer\n").await.expect_err("nobody is there");
        assert!(start.elapsed().as_secs() < 3, "{error} after {:?}", start.elapsed());
        web.ztunnel()?.logs("connection complete").with("level", "error")
            .with("dst.workload", "store").await?;
        Ok(())
    }

    async fn what_is_not_in_the_mesh_is_reached_as_before(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let outside = mesh.pod("legacy/printer").on("node-b").echoing().await?;
        outside.is_plain().await?;
        for (to, own) in [(outside.at4(7), web.ips()[0]), (outside.at6(7), web.ips()[1])] {
            assert_eq!(web.is_seen_as(to).await?, own.to_string());
        }
        // What no node runs either: the infrastructure's own address.
        let infra = bed.infra_ips()[0];
        let error = web.asks((infra, 9).into(), "x").await.expect_err("nothing listens there");
        assert_ne!(error.kind(), std::io::ErrorKind::TimedOut);
        Ok(())
    }

    async fn every_program_counts_the_log_lines_that_it_loses(bed: Testbed) -> anyhow::Result<()> {
        const LOST: &str = "ambit_log_lines_dropped_total";
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let waypoint = mesh.gateway("shop/waypoint")?;
        waypoint.ready(2).await?;
        let node = mesh.node("node-a")?;
        let mut pages = vec![
            ("ztunnel", node.ztunnel().metrics().await?),
            ("node agent", node.metrics().await?),
            ("control", mesh.control().metrics().await?),
        ];
        for instance in waypoint.metrics().await? {
            pages.push(("waypoint", instance));
        }
        assert_eq!(pages.len(), 5);
        for (program, page) in pages {
            let count = page.samples.iter().find(|sample| sample.name == LOST);
            assert_eq!(count.map(|sample| sample.value), Some(0.0), "{program}");
        }
        Ok(())
    }

    async fn two_pods_of_one_node_talk_through_the_mesh_too(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let store = mesh.pod("shop/store").on("node-a").echoing().enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        let line = store.ztunnel()?.logs("connection complete").with("direction", "inbound");
        assert_eq!(line.await?["src.identity"], web.identity());
        // A pod that calls itself.
        store.is_seen_as(store.at4(7)).await?;
        Ok(())
    }
}
