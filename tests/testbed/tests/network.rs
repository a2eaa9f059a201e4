//! Nodes, pods and the ways between them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use testbed::{Pod, Testbed, eventually};

const SOON: Duration = Duration::from_secs(10);

async fn ping(from: &Pod, to: IpAddr) -> bool {
    let ping = from.command("ping").args(["-c1", "-W1", &to.to_string()]);
    ping.run(SOON).await.is_ok_and(|done| done.status.success())
}

testbed::scenario! {
    async fn pods_of_two_nodes_reach_each_other_in_both_families(bed: Testbed) -> anyhow::Result<()> {
        let nodes = bed.nodes(2)?;
        let web = bed.pod("shop/web", &nodes[0])?;
        let store = bed.pod("shop/store", &nodes[1])?;
        let near = bed.pod("shop/near", &nodes[0])?;
        for (from, to) in [(&web, &store), (&store, &web), (&web, &near)] {
            for ip in to.ips() {
                assert!(ping(from, ip).await, "{} to {ip}", from.full_name());
            }
        }
        for ip in nodes[0].ips().into_iter().chain(bed.infra_ips()) {
            assert!(ping(&store, ip).await, "store to {ip}");
        }
        Ok(())
    }

    async fn two_nodes_with_four_pods_are_up_within_a_second(bed: Testbed) -> anyhow::Result<()> {
        let start = Instant::now();
        for node in bed.nodes(2)? {
            for name in ["one", "two"] {
                bed.pod(&format!("shop/{name}-{}", node.name()), &node)?;
            }
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        Ok(())
    }

    async fn a_service_address_is_routed_and_nobody_answers(bed: Testbed) -> anyhow::Result<()> {
        let nodes = bed.nodes(1)?;
        let web = bed.pod("shop/web", &nodes[0])?;
        for address in ["10.96.0.10:80", "[fd00:96::10]:80"] {
            let address: SocketAddr = address.parse()?;
            let error = web.netns().run(|| {
                std::net::TcpStream::connect_timeout(&address, SOON).map(drop)
            })?.expect_err("no mesh");
            let unreachable = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
            assert!(unreachable.contains(&error.kind()), "{address}: {error}");
        }
        Ok(())
    }

    async fn a_name_of_the_testbed_resolves_in_every_pod(bed: Testbed) -> anyhow::Result<()> {
        let nodes = bed.nodes(1)?;
        let web = bed.pod("shop/web", &nodes[0])?;
        bed.host("store.shop", &[IpAddr::from([10, 96, 0, 7])])?;
        let found = web.command("getent").args(["hosts", "store.shop"]).run(SOON).await?.success()?;
        assert!(found.contains("10.96.0.7") && found.contains("store.shop"), "{found}");
        bed.host("store.shop", &[])?;
        let found = web.command("getent").args(["hosts", "store.shop"]).run(SOON).await?;
        assert_ne!(found.code(), Some(0));
        Ok(())
    }

    async fn removing_a_pod_kills_what_ran_in_it_and_frees_its_address(bed: Testbed) -> anyhow::Result<()> {
        let nodes = bed.nodes(2)?;
        let old = bed.pod("shop/old", &nodes[0])?;
        let other = bed.pod("shop/other", &nodes[1])?;
        // A child that its parent does not wait for, as a daemon's would be.
        let shell = old.command("sh").args(["-c", "sleep 1000 & echo up; wait"]);
        let mut shell = shell.spawn()?;
        shell.logs("up", SOON).await?;
        assert_eq!(old.netns().processes().len(), 2);
        let path = old.netns().path().to_owned();

        old.remove().await?;

        assert!(!path.exists());
        assert!(old.netns().processes().is_empty());
        assert!(!shell.is_running());
        assert!(!ping(&other, old.ip4().into()).await);
        let again = testbed::PodSpec::new("shop/again", &nodes[0]).ip4(old.ip4()).ip6(old.ip6());
        let again = bed.pod_with(again)?;
        assert_ne!(again.uid(), old.uid());
        assert!(ping(&other, again.ip4().into()).await);
        assert!(ping(&other, again.ip6().into()).await);
        Ok(())
    }

    async fn a_process_is_stopped_resumed_and_killed(bed: Testbed) -> anyhow::Result<()> {
        let nodes = bed.nodes(1)?;
        let web = bed.pod("shop/web", &nodes[0])?;
        let process = web.command("sleep").arg("1000").spawn()?;
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", process.pid()))
            .unwrap_or_default().split(' ').nth(2).unwrap_or_default().to_owned();
        process.pause()?;
        eventually("it is stopped", SOON, async || state() == "T").await?;
        process.resume()?;
        eventually("it sleeps on", SOON, async || state() == "S").await?;
        let pid = process.pid();
        process.kill().await?;
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        Ok(())
    }

    async fn what_a_program_writes_and_how_it_ends_are_kept(bed: Testbed) -> anyhow::Result<()> {
        let command = bed.command("sh").args(["-c", "echo out $WORD; echo err >&2; exit 3"]);
        let done = command.env("WORD", "here").run(SOON).await?;
        assert_eq!((done.code(), done.text().as_str()), (Some(3), "out here\n"));
        assert_eq!(done.stderr, b"err\n");
        let error = done.success().expect_err("status 3").to_string();
        assert!(error.contains("exit status: 3") && error.contains("err"), "{error}");

        let error = bed.command("sleep").arg("100").run(Duration::from_millis(100)).await;
        assert!(error.expect_err("too long").to_string().contains("did not end within 100ms"));
        let error = bed.command("no-such-program").run(SOON).await.expect_err("missing");
        assert!(error.to_string().starts_with("no-such-program in infra could not be started"));
        Ok(())
    }

    async fn names_that_would_not_fit_are_refused(bed: Testbed) -> anyhow::Result<()> {
        let node = bed.node("node-a")?;
        for name in ["", "Node", "node-with-long-name", "node-a", "infra", "a/b"] {
            assert!(bed.node(name).is_err(), "{name:?}");
        }
        bed.pod("shop/web", &node)?;
        for name in ["web", "shop/", "/web", "shop/web", "shop/../x", "a/b/c"] {
            assert!(bed.pod(name, &node).is_err(), "{name:?}");
        }
        Ok(())
    }
}
