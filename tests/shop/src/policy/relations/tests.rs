use super::{Relations, Verdict};

const FILE: &str = "
# who         what    where
shop/web      reads   orders:/orders   # the shop's front
shop/staff    writes  orders:/admin
";

#[test]
fn a_request_passes_only_by_a_relationship() {
    let relations = Relations::parse(FILE).expect("a good file");
    let web = "spiffe://cluster.local/ns/shop/sa/web";
    let staff = "spiffe://cluster.local/ns/shop/sa/staff";
    for (case, who, method, host, path, allowed) in [
        ("as written", web, "GET", "orders.shop", "/orders", true),
        ("with a query and a port", web, "GET", "orders:80", "/orders?id=1", true),
        ("below", web, "HEAD", "orders.shop.svc.cluster.local", "/orders/1", true),
        ("a longer word", web, "GET", "orders.shop", "/orders2", false),
        ("another path", web, "GET", "orders.shop", "/admin", false),
        ("another method", web, "POST", "orders.shop", "/orders", false),
        ("another service", web, "GET", "payments.shop", "/orders", false),
        ("another subject", staff, "GET", "orders.shop", "/orders", false),
        ("a writer writes", staff, "DELETE", "orders.shop", "/admin/1", true),
        ("dots", web, "GET", "orders.shop", "/orders/../admin", false),
        ("an encoded slash", web, "GET", "orders.shop", "/orders%2f", false),
        ("nobody", "", "GET", "orders.shop", "/orders", false),
        ("no workload", "spiffe://cluster.local/web", "GET", "orders.shop", "/orders", false),
    ] {
        let verdict = relations.decide(who, method, host, path);
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), allowed, "{case}: {verdict:?}");
    }
}

#[test]
fn a_line_that_is_none_refuses_the_whole_file() {
    for line in [
        "shop/web reads",
        "shop/web owns orders:/",
        "web reads orders:/",
        "shop/web reads orders/",
        "shop/web reads orders:admin",
        "shop/web reads orders:/ always",
    ] {
        let error = Relations::parse(&format!("{FILE}{line}\n")).expect_err(line).to_string();
        assert!(error.contains("line 5") && error.contains(line), "{error}");
    }
}
