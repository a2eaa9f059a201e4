use super::*;

#[test]
fn checks_have_a_limit_for_one_and_a_limit_for_all() {
    let checks = Checks::default();
    let accounts: Vec<Account> =
        (0..=MAX_CHECKS / MAX_CHECKS_OF_ONE).map(|_| Account::default()).collect();
    let (last, others) = accounts.split_last().expect("some");
    let mut running = Vec::new();
    for account in others {
        for _ in 0..MAX_CHECKS_OF_ONE {
            running.push(checks.begin(account).expect("room"));
        }
        assert_eq!(checks.begin(account).err(), Some(Limit::ChecksOfOne));
    }
    assert_eq!(checks.begin(last).err(), Some(Limit::Checks), "all places are taken");
    assert_eq!(last.checks.load(Ordering::Relaxed), 0, "and it is charged for none");
    running.pop();
    assert!(checks.begin(last).is_ok(), "one was given back");
}

#[test]
fn each_waypoint_numbers_its_own_checks() {
    let (one, other) = (Checks::default(), Checks::default());
    assert_eq!([one.number(), one.number(), other.number()], [1, 2, 1]);
}

#[test]
fn bodies_have_a_limit_for_one_and_a_limit_for_all() {
    let checks = Checks::default();
    let accounts: Vec<Account> =
        (0..=MAX_BODIES / MAX_BODIES_OF_ONE).map(|_| Account::default()).collect();
    let (last, others) = accounts.split_last().expect("some");
    let mut kept = Vec::new();
    for account in others {
        kept.push(checks.room(account, MAX_BODIES_OF_ONE).expect("room"));
        assert_eq!(checks.room(account, 1).err(), Some(Limit::BodiesOfOne));
        assert!(checks.room(account, 0).is_ok(), "no body takes no room");
    }
    assert_eq!(checks.room(last, 1).err(), Some(Limit::Bodies), "all room is taken");
    assert_eq!(last.bodies.load(Ordering::Relaxed), 0, "and it is charged for none");
    kept.pop();
    assert!(checks.room(last, MAX_BODIES_OF_ONE).is_ok(), "some was given back");
}
