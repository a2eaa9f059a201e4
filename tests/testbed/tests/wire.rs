//! What is captured between nodes, and what can be done to the way between them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use testbed::shaper::{Shape, ShapeError, Shaped};
use testbed::{Link, Pod, Testbed, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Two nodes, a pod on each, and the way between them.
fn pair(bed: &Testbed) -> anyhow::Result<(Pod, Pod, Link)> {
    let nodes = bed.nodes(2)?;
    let (web, store) = (bed.pod("shop/web", &nodes[0])?, bed.pod("shop/store", &nodes[1])?);
    Ok((web, store, bed.link(&nodes[0], &nodes[1])))
}

/// A server in `pod` that returns what it reads, on both families.
fn echo(pod: &Pod) -> anyhow::Result<()> {
    let listener = pod.netns().run(|| TcpListener::bind("[::]:7"))??;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    Ok(())
}

fn connect(pod: &Pod, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = pod.netns().run(|| TcpStream::connect_timeout(&to, Duration::from_secs(1)))??;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream, words: &[u8]) -> std::io::Result<()> {
    stream.write_all(words)?;
    let mut back = vec![0; words.len()];
    stream.read_exact(&mut back)?;
    assert_eq!(back, words);
    Ok(())
}

/// `None` where only root may open TUN devices and we are not root of the machine.
fn shape(link: &Link, shape: Shape) -> anyhow::Result<Option<Shaped>> {
    let whole_machine = std::fs::read_to_string("/proc/self/uid_map")?.contains("4294967295");
    match link.shape(shape) {
        Err(ShapeError::Tun(error)) if !whole_machine => {
            println!("skipped: {error}");
            Ok(None)
        }
        started => Ok(Some(started?)),
    }
}

testbed::scenario! {
    async fn a_capture_finds_plaintext_and_says_whose_it_is(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let file = bed.directory("pcap")?.join("link.pcap");
        let capture = link.capture_to(&file)?;
        for ip in store.ips() {
            let mut stream = connect(&web, SocketAddr::new(ip, 7))?;
            exchange(&mut stream, b"attack ")?;
            exchange(&mut stream, b"at dawn")?;
        }
        let recording = capture.stop().await?;
        assert!(recording.contains(b"attack at dawn"), "across segments");
        assert!(!recording.contains(b"attack at noon"));
        let flows = recording.flows();
        assert_eq!(flows.len(), 4, "two families, two ways");
        assert!(flows.iter().all(|flow| flow.from_start));
        assert_eq!(recording.payload_bytes(|packet| packet.from.ip() == web.ip4()), 14);
        let leak = recording.holds_only_tls_to(15008).expect_err("it is plaintext");
        assert!(leak.to_string().contains("attack "), "{leak}");
        // Another reader of the format agrees about the number of packets. In a user's
        // namespace tcpdump cannot give up the rights that it wants to give up.
        let reader = bed.command("tcpdump").args(["-Z", "root", "-nr"]).arg(&file);
        let read = reader.run(SOON).await?;
        if !String::from_utf8_lossy(&read.stderr).contains("Couldn't change to") {
            assert_eq!(read.success()?.lines().count(), recording.packets.len());
        }
        Ok(())
    }

    async fn a_capture_stops_while_the_link_is_busy(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let stream = connect(&web, SocketAddr::new(store.ip4().into(), 7))?;
        let mut sender = stream.try_clone()?;
        thread::spawn(move || while sender.write_all(&[b'x'; 1000]).is_ok() {});
        let mut receiver = stream;
        thread::spawn(move || std::io::copy(&mut receiver, &mut std::io::sink()));
        let capture = link.capture()?;
        connect(&web, SocketAddr::new(store.ip6().into(), 7))?.write_all(b"the last word")?;
        let recording = tokio::time::timeout(Duration::from_secs(10), capture.stop()).await;
        assert!(recording??.contains(b"the last word"), "what came before the stop is there");
        Ok(())
    }

    async fn plaintext_to_the_tunnel_port_is_a_leak_too(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        let server = store.netns().run(|| TcpListener::bind("0.0.0.0:15008"))??;
        let capture = link.capture()?;
        let mut stream = connect(&web, SocketAddr::new(store.ip4().into(), 15008))?;
        stream.write_all(b"CONNECT 10.0.0.1:80 HTTP/1.1\r\n\r\n")?;
        let mut seen = [0; 7];
        server.accept()?.0.read_exact(&mut seen)?;
        let leak = capture.stop().await?.holds_only_tls_to(15008).expect_err("no TLS");
        assert!(leak.to_string().contains("is not TLS: CONNECT"), "{leak}");
        Ok(())
    }

    async fn a_connection_survives_a_cut_of_the_link(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let to = SocketAddr::new(store.ip6().into(), 7);
        let mut old = connect(&web, to)?;
        exchange(&mut old, b"before")?;
        let cut = link.cut()?;
        connect(&web, to).expect_err("the link is cut");
        cut.heal()?;
        exchange(&mut connect(&web, to)?, b"new")?;
        exchange(&mut old, b"after")?;
        Ok(())
    }

    async fn a_cut_of_one_way_leaves_the_other_open(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        let cut = link.cut_from(store.node())?;
        let capture = link.capture()?;
        // The SYN arrives and its answer does not: the store's kernel refuses the port.
        connect(&web, SocketAddr::new(store.ip4().into(), 9)).expect_err("no answer");
        let back = store.node().command("nft").args(["list", "ruleset"]).run(SOON).await?;
        assert_eq!(back.text(), "", "nodes are left alone");
        cut.heal()?;
        let refused = connect(&web, SocketAddr::new(store.ip4().into(), 9)).expect_err("refused");
        assert!(refused.to_string().contains("refused"), "{refused}");
        let recording = capture.stop().await?;
        assert!(recording.from(web.ip4().into()).count() >= 2, "what web sends is on the wire");
        assert_eq!(recording.from(store.ip4().into()).count(), 1, "one answer, after the cut");
        Ok(())
    }

    async fn a_black_hole_takes_open_connections_and_no_new_ones(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        for ip in store.ips() {
            let to = SocketAddr::new(ip, 7);
            let mut old = connect(&web, to)?;
            exchange(&mut old, b"before")?;
            let hole = link.black_hole_open_connections()?;
            exchange(&mut old, b"lost").expect_err("black hole");
            let mut new = connect(&web, to)?;
            for _ in 0..3 {
                exchange(&mut new, b"fresh")?;
            }
            hole.heal()?;
        }
        Ok(())
    }

    async fn bytes_arrive_through_loss_and_a_narrow_link(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let faults = [link.lose(20)?, link.mtu(1280)?];
        let mut stream = connect(&web, SocketAddr::new(store.ip4().into(), 7))?;
        stream.set_read_timeout(Some(SOON))?;
        let words: Vec<u8> = (0..40_000u32).flat_map(u32::to_le_bytes).collect();
        for part in words.chunks(10_000) {
            exchange(&mut stream, part)?;
        }
        for fault in faults {
            fault.heal()?;
        }
        Ok(())
    }

    async fn a_rate_holds_a_stream_back(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let slow = link.rate(20)?;
        let mut stream = connect(&web, SocketAddr::new(store.ip4().into(), 7))?;
        stream.set_read_timeout(Some(SOON))?;
        let mut reader = stream.try_clone()?;
        let start = Instant::now();
        let total = 1_000_000;
        thread::scope(|scope| {
            scope.spawn(|| stream.write_all(&vec![7; total]));
            reader.read_exact(&mut vec![0; total])
        })?;
        // 8 Mbit at 20 Mbit/s, less the bucket.
        assert!(start.elapsed() > Duration::from_millis(250), "{:?}", start.elapsed());
        slow.heal()?;
        Ok(())
    }

    async fn a_shaper_delays_by_what_it_says_and_heals(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let delay = Duration::from_millis(40);
        let Some(shaped) = shape(&link, Shape { delay, ..Shape::default() })? else {
            return Ok(());
        };
        for ip in store.ips() {
            let mut stream = connect(&web, SocketAddr::new(ip, 7))?;
            let start = Instant::now();
            exchange(&mut stream, b"there and back")?;
            let took = start.elapsed();
            assert!(took >= 2 * delay && took < 4 * delay, "{took:?}");
        }
        assert!(shaped.passed() > 10);
        shaped.heal().await?;
        let mut stream = connect(&web, SocketAddr::new(store.ip4().into(), 7))?;
        let quick = eventually("it is quick again", SOON, async || {
            let start = Instant::now();
            exchange(&mut stream, b"there and back").is_ok() && start.elapsed() < delay
        });
        quick.await?;
        Ok(())
    }

    async fn bytes_arrive_through_reordering_and_corruption(bed: Testbed) -> anyhow::Result<()> {
        let (web, store, link) = pair(&bed)?;
        echo(&store)?;
        let shape = Shape {
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(4),
            lose: 10,
            reorder: 50,
            corrupt: 10,
            duplicate: 20,
        };
        let Some(shaped) = self::shape(&link, shape)? else { return Ok(()) };
        let mut stream = connect(&web, SocketAddr::new(store.ip4().into(), 7))?;
        stream.set_read_timeout(Some(SOON))?;
        let words: Vec<u8> = (0..40_000u32).flat_map(u32::to_le_bytes).collect();
        for part in words.chunks(20_000) {
            exchange(&mut stream, part)?;
        }
        assert!(shaped.lost() > 0, "some were lost");
        shaped.heal().await?;
        Ok(())
    }
}
