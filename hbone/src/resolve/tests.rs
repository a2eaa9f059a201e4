use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

/// Answers when it is let, and counts what it was asked.
#[derive(Clone)]
struct Fake {
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    answer: Arc<Mutex<Result<Answer, Unresolved>>>,
}

impl Fake {
    fn new(answer: Result<Answer, Unresolved>) -> Self {
        Self {
            asked: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            answer: Arc::new(Mutex::new(answer)),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Lets others run until so many questions are asked.
    async fn is_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }

    fn answers(&self, answer: Result<Answer, Unresolved>) {
        *self.answer.lock().expect("not poisoned") = answer;
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(self.clone(), Handle::current(), ResolverMetrics::default())
    }
}

impl Ask for Fake {
    fn ask(&self, _: &str) -> BoxFuture<'static, Result<Answer, Unresolved>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (gate, answer) = (Arc::clone(&self.gate), self.answer.lock().expect("whole").clone());
        Box::pin(async move {
            let _permit = gate.acquire().await;
            answer
        })
    }
}

fn answer(last: u8, seconds: u64) -> Result<Answer, Unresolved> {
    Ok(Answer { addresses: vec![[192, 0, 2, last].into()], life: Duration::from_secs(seconds) })
}

fn found(last: u8) -> Outcome {
    Ok(Arc::from([IpAddr::from([192, 0, 2, last])]))
}

fn web() -> Arc<str> {
    "shop/web".into()
}

async fn after(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time_to_live_within_bounds() {
    for (case, life, kept, over) in
        [("as DNS says", 10, 9, 11), ("none at all", 0, 0, 2), ("a day", 86_400, 59, 61)]
    {
        let fake = Fake::new(answer(1, life));
        let resolver = fake.resolver();
        assert_eq!(resolver.lookup("a.b", &web()).await, found(1), "{case}");
        fake.answers(answer(2, life));
        after(kept).await;
        assert_eq!(resolver.lookup("a.b", &web()).await, found(1), "{case}: kept");
        assert_eq!(fake.asked(), 1, "{case}");
        after(over - kept).await;
        assert_eq!(resolver.lookup("a.b", &web()).await, found(2), "{case}: asked again");
        assert_eq!(fake.asked(), 2, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_resolved_has_its_reason_and_is_asked_for_again_soon() {
    let nothing = Ok(Answer { addresses: Vec::new(), life: Duration::from_mins(1) });
    for (answer, want) in [
        (Err(Unresolved::NoSuchName), Unresolved::NoSuchName),
        (Err(Unresolved::Failed), Unresolved::Failed),
        (nothing, Unresolved::NoAddress),
    ] {
        let fake = Fake::new(answer);
        let resolver = fake.resolver();
        for _ in 0..3 {
            assert_eq!(resolver.lookup("a.b", &web()).await, Err(want));
        }
        assert_eq!(fake.asked(), 1, "{want:?} is kept for a moment");
        fake.answers(self::answer(1, 10));
        after(NEGATIVE.as_secs() + 1).await;
        assert_eq!(resolver.lookup("a.b", &web()).await, found(1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_time_is_over_is_not_served_when_dns_fails() {
    let fake = Fake::new(answer(1, 10));
    let resolver = fake.resolver();
    assert_eq!(resolver.lookup("a.b", &web()).await, found(1));
    fake.answers(Err(Unresolved::Failed));
    after(11).await;
    assert_eq!(resolver.lookup("a.b", &web()).await, Err(Unresolved::Failed));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_given_up() {
    let fake = Fake { gate: Arc::new(Semaphore::new(0)), ..Fake::new(answer(1, 10)) };
    let resolver = fake.resolver();
    let began = Instant::now();
    assert_eq!(resolver.lookup("a.b", &web()).await, Err(Unresolved::Timeout));
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn one_question_serves_all_who_wait_also_when_the_first_is_gone() {
    let fake = Fake { gate: Arc::new(Semaphore::new(0)), ..Fake::new(answer(1, 10)) };
    let resolver = fake.resolver();
    let wait = || {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.lookup("a.b", &web()).await })
    };
    let (first, others) = (wait(), [wait(), wait(), wait()]);
    fake.is_asked(1).await;
    first.abort();
    fake.gate.add_permits(1);
    for other in others {
        assert_eq!(other.await.expect("no panic"), found(1));
    }
    assert_eq!(fake.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_source_cannot_take_every_question_and_all_together_have_a_limit() {
    let fake = Fake { gate: Arc::new(Semaphore::new(0)), ..Fake::new(answer(1, 10)) };
    let resolver = fake.resolver();
    let mut waiting = Vec::new();
    let mut begin = |source: &str, n: usize| {
        let (resolver, source): (_, Arc<str>) = (resolver.clone(), source.into());
        let name = format!("{n}.{source}");
        waiting.push(tokio::spawn(async move { resolver.lookup(&name, &source).await }));
    };
    for n in 0..MAX_LOOKUPS_OF_ONE {
        begin("shop/greedy", n);
    }
    fake.is_asked(MAX_LOOKUPS_OF_ONE).await;
    let greedy: Arc<str> = "shop/greedy".into();
    assert_eq!(resolver.lookup("more", &greedy).await, Err(Unresolved::Limit));
    for n in MAX_LOOKUPS_OF_ONE..MAX_LOOKUPS {
        begin(&format!("shop/{n}"), n);
    }
    fake.is_asked(MAX_LOOKUPS).await;
    assert_eq!(fake.asked(), MAX_LOOKUPS, "others are not refused for its sake");
    assert_eq!(resolver.lookup("one-more", &web()).await, Err(Unresolved::Limit));
    fake.gate.add_permits(MAX_LOOKUPS);
    for waits in waiting {
        assert_eq!(waits.await.expect("no panic"), found(1));
    }
    fake.gate.add_permits(2);
    assert_eq!(resolver.lookup("more", &greedy).await, found(1), "places are given back");
    assert!(resolver.inner.lock().sources.is_empty());
}

#[tokio::test(start_paused = true)]
async fn so_many_names_are_kept_and_no_more() {
    let fake = Fake::new(answer(1, 10));
    let resolver = fake.resolver();
    for n in 0..MAX_NAMES {
        resolver.lookup(&format!("h{n}.b"), &web()).await.expect("found");
    }
    fake.answers(answer(2, 30));
    resolver.lookup("late.b", &web()).await.expect("found");
    assert_eq!(resolver.inner.lock().names.len(), MAX_NAMES);
    after(11).await;
    resolver.lookup("later.b", &web()).await.expect("found");
    assert_eq!(resolver.inner.lock().names.len(), 2, "what is over is forgotten");
    let many = (0..200).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    fake.answers(Ok(Answer { addresses: many, life: Duration::from_secs(1) }));
    let kept = resolver.lookup("many.b", &web()).await.expect("found");
    assert_eq!(kept.len(), MAX_ADDRESSES);
}

#[test]
fn no_answer_leads_back_to_the_proxy() {
    for (ip, want) in [
        ("127.0.0.1", false),
        ("::1", false),
        ("0.0.0.0", false),
        ("::", false),
        ("224.0.0.1", false),
        ("192.0.2.1", true),
        ("2001:db8::1", true),
    ] {
        assert_eq!(leads_elsewhere(ip.parse().expect("an address")), want, "{ip}");
    }
}
