use super::*;

fn flow(local: &str, remote: &str) -> Flow {
    let address = |text: &str| text.parse().expect("an address");
    Flow { local: address(local), remote: address(remote) }
}

#[test]
fn the_kernels_table_is_read() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
        1: 0500010A:A1B2 0900010A:0050 01 00000000:00000000\n\
        2: 0500010A:A1B3 0900010A:0050 06 00000000:00000000\n\
        3: 000080FE000000000000000005000000:0050 000080FE000000000000000009000000:A1B2 01 0:0\n\
        4: 0000000000000000FFFF00000500010A:0050 0000000000000000FFFF00000900010A:A1B2 08 0:0\n\
        5: short\n\
        6: XX00010A:A1B3 0900010A:0050 01\n";
    let mut flows = Vec::new();
    parse(table.as_bytes(), &mut flows).expect("read");
    let want = [
        flow("10.1.0.5:41394", "10.1.0.9:80"),
        flow("[fe80::5:0:0]:80", "[fe80::9:0:0]:41394"),
        flow("10.1.0.5:80", "10.1.0.9:41394"),
    ];
    // Little-endian words, as on every machine that runs these tests.
    assert_eq!(flows[0], want[0]);
    assert_eq!(flows[1].local.port(), 80);
    assert_eq!(flows[2], want[2], "a mapped address is the IPv4 one");
    assert_eq!(flows.len(), 3);
}

#[test]
fn which_connections_count() {
    let download = flow("10.1.0.5:40000", "10.2.0.9:80");
    let redirected_app = flow("10.1.0.5:40001", "10.2.0.9:80");
    let redirected_proxy = flow("127.0.0.1:15001", "10.1.0.5:40001");
    let served_app = flow("10.1.0.5:80", "10.2.0.7:50000");
    let served_proxy = flow("10.2.0.7:50000", "10.1.0.5:80");
    let itself = [flow("10.1.0.5:80", "10.1.0.5:3"), flow("10.1.0.5:3", "10.1.0.5:80")];
    let hbone = flow("10.1.0.5:15008", "10.2.0.7:50001");
    for (case, flows, older_want, carried_want) in [
        ("plain client", vec![download], 1, 0),
        ("redirected client", vec![redirected_app, redirected_proxy], 0, 1),
        ("served through the mesh", vec![served_app, served_proxy, hbone], 0, 2),
        ("own address", itself.to_vec(), 0, 0),
        ("idle tunnel", vec![hbone], 0, 0),
    ] {
        assert_eq!(older(&flows).len(), older_want, "{case}: older");
        assert_eq!(carried(&flows), carried_want, "{case}: carried");
    }
    let mut remembered = older(&[download, redirected_app]);
    retain_open(&mut remembered, &[redirected_app]);
    assert_eq!(remembered, BTreeSet::from([redirected_app]));
}
