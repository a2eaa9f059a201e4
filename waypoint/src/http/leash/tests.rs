use std::future::pending;
use std::time::Duration;

use super::*;
use crate::standing;

/// An exchange that runs, and its deadline.
fn held(deadline: Option<Duration>) -> (Held, Arc<OnceLock<Cut>>, standing::tests::Change) {
    let (standing, deny) = standing::tests::running();
    let deadline = deadline.map(|after| Box::pin(tokio::time::sleep(after)));
    let cut: Arc<OnceLock<Cut>> = Arc::default();
    (Held { standing, deadline, cut: cut.clone() }, cut, deny)
}

#[tokio::test]
async fn what_is_stuck_ends_when_a_policy_turns_and_says_why() {
    let leash = Leash::default();
    let (held, cut, deny) = held(None);
    leash.hold(held);
    let stuck = leash.until_cut(pending::<()>());
    let (ended, ()) = tokio::join!(stuck, async {
        tokio::task::yield_now().await;
        deny();
    });
    assert_eq!(ended, None);
    assert!(matches!(cut.get(), Some(Cut::Revoked(_))), "{cut:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_stuck_ends_at_its_deadline() {
    let leash = Leash::default();
    let (held, cut, _deny) = held(Some(Duration::from_secs(3)));
    leash.hold(held);
    let began = tokio::time::Instant::now();
    assert_eq!(leash.until_cut(pending::<()>()).await, None);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(cut.get(), Some(&Cut::Late));
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_of_is_not_ended() {
    let leash = Leash::default();
    let (held, cut, deny) = held(Some(Duration::from_secs(3)));
    leash.hold(held);
    leash.release();
    deny();
    let long = tokio::time::sleep(Duration::from_mins(1));
    assert_eq!(leash.until_cut(long).await, Some(()));
    assert_eq!(cut.get(), None);
}

#[tokio::test]
async fn a_task_finds_its_own_leash() {
    let (held, cut, deny) = held(None);
    let task = Leash::default().of(async move {
        Leash::of_task().hold(held);
        pending::<()>().await;
    });
    let ((), ()) = tokio::join!(task, async {
        tokio::task::yield_now().await;
        deny();
    });
    assert!(cut.get().is_some());
}
