use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn held_by(holder: &str) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        ..LeaseSpec::default()
    }
}

#[test]
fn a_lease_is_taken_only_when_it_has_not_changed_for_its_whole_duration() {
    let (start, time) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let mut election = Election::new("me".to_owned());
    let other = held_by("other");
    assert_eq!(election.step("1", &other, start, time), Step::Wait);
    // However long ago its own clock says that it was renewed.
    let old = LeaseSpec { renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)), ..held_by("other") };
    let late = start + DURATION;
    assert_eq!(election.step("2", &old, late, time), Step::Wait, "it has just changed");
    let almost = late + DURATION.saturating_sub(Duration::from_millis(1));
    assert_eq!(election.step("2", &old, almost, time), Step::Wait);
    let Step::Write(taken) = election.step("2", &old, late + DURATION, time) else {
        panic!("it is free")
    };
    assert_eq!(taken.holder_identity.as_deref(), Some("me"));
    assert_eq!(taken.lease_transitions, Some(4));
}

#[test]
fn a_lease_that_was_given_up_is_taken_at_once_and_an_own_one_renewed() {
    let (start, time) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let mut election = Election::new("me".to_owned());
    let free = LeaseSpec { holder_identity: None, ..held_by("other") };
    assert!(matches!(election.step("1", &free, start, time), Step::Write(_)));
    let Step::Write(renewed) = election.step("2", &held_by("me"), start, time) else {
        panic!("it is ours")
    };
    assert_eq!(renewed.renew_time, Some(MicroTime(time)));
    assert_eq!(renewed.lease_transitions, Some(3), "the same leader");
}

#[test]
fn a_leader_gives_up_before_another_may_begin() {
    assert!(DEADLINE + RETRY < DURATION);
}

/// Counts one less when it is dropped.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn work_ends_with_the_leadership_and_begins_again_with_it() {
    let (leading, told) = watch::channel(false);
    let (begun, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = {
        let (begun, running) = (begun.clone(), running.clone());
        move || {
            let (begun, running) = (begun.clone(), running.clone());
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                running.fetch_add(1, Ordering::SeqCst);
                let _count = Count(running);
                std::future::pending::<()>().await;
            }
        }
    };
    let task = tokio::spawn(while_leading(told, work));
    for (leads, times) in [(false, 0), (true, 1), (false, 1), (true, 2), (false, 2)] {
        leading.send_replace(leads);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(begun.load(Ordering::SeqCst), times);
        assert_eq!(running.load(Ordering::SeqCst), usize::from(leads));
    }
    drop(leading);
    task.await.expect("ends");
}
