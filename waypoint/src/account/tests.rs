use super::*;

fn id(account: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{account}").parse().expect("an identity")
}

#[test]
fn a_place_is_one_of_so_many_and_comes_back() {
    let counter = Arc::default();
    let first = Place::take(&counter, 2).expect("two are free");
    let _second = Place::take(&counter, 2).expect("one is free");
    assert!(Place::take(&counter, 2).is_none());
    drop(first);
    assert!(Place::take(&counter, 2).is_some());
}

#[test]
fn one_key_cannot_take_what_another_may_have() {
    let shares = Shares::new(2);
    let web = [shares.take("web"), shares.take("web")];
    assert!(web.iter().all(Option::is_some));
    assert!(shares.take("web").is_none(), "it has all that it may have");
    assert!(shares.take("other").is_some(), "others have theirs");
    drop(web);
    assert!(shares.take("web").is_some());
    assert!(shares.used.lock().expect("no panic").is_empty(), "nothing is kept of the idle");
}

#[test]
fn tunnels_of_a_source_share_its_account() {
    let accounts = Accounts::default();
    let first = accounts.of(&id("web"));
    let _check = Place::take(&first.checks, 10).expect("free");
    assert_eq!(accounts.of(&id("web")).checks.load(Ordering::Relaxed), 1);
    assert_eq!(accounts.of(&id("other")).checks.load(Ordering::Relaxed), 0);
}

#[test]
fn accounts_of_those_that_are_gone_do_not_pile_up() {
    let accounts = Accounts::default();
    let kept = accounts.of(&id("web"));
    for n in 0..10 * SWEEP {
        drop(accounts.of(&id(&format!("client-{n}"))));
    }
    let entries = accounts.0.lock().expect("no panic").entries.len();
    assert!(entries <= SWEEP, "{entries} accounts");
    assert!(Arc::ptr_eq(&kept, &accounts.of(&id("web"))), "one that is used stays");
}
