use std::time::Duration;

use super::*;

fn pending(reason: &str) -> Report {
    Report { state: State::Pending, reason: reason.into(), ..Report::default() }
}

#[tokio::test]
async fn only_the_latest_report_of_a_pod_is_told_and_again_after_an_interruption() {
    let reports = Reports::default();
    let (web, db) = (Uid::from("web"), Uid::from("db"));
    assert!(reports.set(&web, pending("first")));
    assert!(reports.set(&web, pending("second")));
    assert!(!reports.set(&web, pending("second")), "nothing new");
    assert_eq!(reports.next().await, (web.clone(), pending("second")));
    let quiet = tokio::time::timeout(Duration::from_millis(20), reports.next()).await;
    assert!(quiet.is_err(), "nothing is untold");
    reports.set(&db, pending("db"));
    reports.tell_all();
    assert_eq!(reports.next().await.0, db);
    assert_eq!(reports.next().await.0, web);
    reports.set(&db, pending("gone"));
    reports.forget(&db);
    assert_eq!(reports.all().len(), 1);
}

#[test]
fn delays_double_up_to_the_limit() {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
    for want in [100.0, 200.0, 350.0, 350.0] {
        let delay = backoff.delay().as_secs_f64() * 1000.0;
        assert!((want * 0.79..=want * 1.21).contains(&delay), "{delay} ms for {want} ms");
    }
    backoff.reset();
    assert!(backoff.delay() <= Duration::from_millis(121));
}
