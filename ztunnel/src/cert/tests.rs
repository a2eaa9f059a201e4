use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use hbone::identity::TrustDomain;
use hbone::tls::CertificateRequest;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Signer, KeyPair};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::retry::Retry;
use super::*;

const LIFE: Duration = Duration::from_hours(1);

/// A certificate authority of a test: signs, counts, and fails when told to.
struct Authority {
    signer: Signer<'static, KeyPair>,
    root: String,
    clock: Clock,
    life: Duration,
    down: Mutex<bool>,
    asked: Mutex<VecDeque<(String, Instant)>>,
    /// Fetches may end only with one of these.
    gate: Semaphore,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// The wall clock of a test moves with the runtime's paused time.
fn clock() -> Clock {
    let (wall, start) = (SystemTime::now(), Instant::now());
    Arc::new(move || wall + start.elapsed())
}

impl Authority {
    fn new(open: bool, life: Duration) -> Arc<Self> {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("root").pem();
        Arc::new(Self {
            signer: Signer::new(params, key),
            root,
            clock: clock(),
            life,
            down: Mutex::new(false),
            asked: Mutex::default(),
            gate: Semaphore::new(if open { Semaphore::MAX_PERMITS } else { 0 }),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    fn certificates(self: &Arc<Self>) -> Certificates {
        let settings = CertSettings { clock: Arc::clone(&self.clock), ..Default::default() };
        Certificates::new(Arc::clone(self) as Arc<dyn Issuer>, settings)
    }

    fn sign(&self, id: &SpiffeId) -> WorkloadCertificate {
        let request = CertificateRequest::generate(id).expect("request");
        let mut csr = rcgen::CertificateSigningRequestParams::from_pem(request.pem()).expect("CSR");
        let now = (self.clock)();
        csr.params.not_before = now.into();
        csr.params.not_after = (now + self.life).into();
        let leaf = csr.signed_by(&self.signer).expect("leaf").pem();
        WorkloadCertificate::from_chain(request, &[leaf, self.root.clone()]).expect("chain")
    }

    fn set_down(&self, down: bool) {
        *self.down.lock().expect("lock") = down;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").iter().map(|(id, _)| id.clone()).collect()
    }
}

impl Issuer for Authority {
    fn issue<'a>(&'a self, id: &'a SpiffeId) -> BoxFuture<'a, Result<WorkloadCertificate, String>> {
        Box::pin(async move {
            self.asked
                .lock()
                .expect("lock")
                .push_back((id.service_account().to_owned(), Instant::now()));
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            self.gate.acquire().await.expect("open").forget();
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            if *self.down.lock().expect("lock") {
                return Err("authority is down".to_owned());
            }
            Ok(self.sign(id))
        })
    }
}

fn id(account: &str) -> SpiffeId {
    SpiffeId::new(TrustDomain::default(), "shop", account).expect("identity")
}

fn ids(accounts: &[&str]) -> BTreeSet<SpiffeId> {
    accounts.iter().map(|account| id(account)).collect()
}

/// Waits in paused time, which jumps ahead as long as nothing else can run.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(start_paused = true)]
async fn wanted_identities_are_fetched_ahead_and_forgotten_when_unwanted() {
    let authority = Authority::new(true, LIFE);
    let certificates = authority.certificates();
    certificates.want(&ids(&["a", "b"]));
    until("both", || ["a", "b"].iter().all(|x| certificates.current(&id(x)).is_some())).await;
    assert_eq!(certificates.current(&id("c")).map(|c| c.identity().clone()), None);
    certificates.want(&ids(&["b"]));
    assert!(certificates.current(&id("a")).is_none());
    assert!(certificates.current(&id("b")).is_some());
    let before = authority.asked().len();
    sleep(LIFE * 2).await;
    assert!(authority.asked().iter().skip(before).all(|account| account == "b"));
}

#[tokio::test(start_paused = true)]
async fn concurrent_waiters_share_one_fetch() {
    let authority = Authority::new(false, LIFE);
    let certificates = authority.certificates();
    let a = id("a");
    let waiters = futures_util::future::join_all((0..50).map(|_| certificates.get(&a)));
    let open = async {
        until("asked", || !authority.asked().is_empty()).await;
        authority.gate.add_permits(100);
    };
    let (got, ()) = tokio::join!(waiters, open);
    assert!(got.iter().all(|certificate| certificate.as_ref().expect("issued").identity() == &a));
    assert_eq!(authority.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn at_half_of_its_life_a_certificate_is_replaced() {
    let authority = Authority::new(true, LIFE);
    let certificates = authority.certificates();
    let first = certificates.get(&id("a")).await.expect("issued");
    sleep(Duration::from_mins(29)).await;
    assert_eq!(authority.asked().len(), 1);
    sleep(Duration::from_mins(2)).await;
    let second = certificates.current(&id("a")).expect("valid");
    assert!(second.not_after() > first.not_after());
    assert_eq!(authority.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_authority_is_down_a_valid_certificate_stays_in_force_until_it_expires() {
    let authority = Authority::new(true, LIFE);
    let certificates = authority.certificates();
    certificates.get(&id("a")).await.expect("issued");
    authority.set_down(true);
    sleep(Duration::from_secs(3590)).await;
    assert!(certificates.current(&id("a")).is_some(), "serve the old one");
    assert_eq!(certificates.dump()[0].state, "Available");
    sleep(Duration::from_secs(20)).await;
    assert!(certificates.current(&id("a")).is_none(), "never an expired one");
    let before = Instant::now();
    let error = certificates.get(&id("a")).await.expect_err("bounded");
    assert!(before.elapsed() <= Duration::from_secs(11));
    assert!(error.to_string().contains("authority is down"), "{error}");
    assert_eq!(certificates.dump()[0].state, "Unavailable: authority is down");

    sleep(LIFE * 3).await;
    authority.set_down(false);
    let back = Instant::now();
    until("healed", || certificates.current(&id("a")).is_some()).await;
    assert!(back.elapsed() <= Duration::from_secs(30), "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_outlasts_a_short_outage_ends_with_a_certificate() {
    let authority = Authority::new(true, LIFE);
    let certificates = authority.certificates();
    authority.set_down(true);
    let a = id("a");
    let recover = async {
        sleep(Duration::from_secs(3)).await;
        authority.set_down(false);
    };
    let (got, ()) = tokio::join!(certificates.get(&a), recover);
    got.expect("issued after the outage");
}

#[tokio::test(start_paused = true)]
async fn eight_fetches_run_at_once_and_a_waiting_connection_goes_first() {
    let authority = Authority::new(false, LIFE);
    let certificates = authority.certificates();
    let names: Vec<String> = (0..20).map(|n| format!("w{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    certificates.want(&ids(&names));
    until("the slots are taken", || authority.asked().len() == 8).await;
    let queued: Vec<SpiffeId> = names
        .iter()
        .filter(|name| !authority.asked().contains(&(**name).to_owned()))
        .map(|name| id(name))
        .collect();
    let last = queued.last().expect("twelve wait").clone();
    let open = async {
        sleep(Duration::from_secs(1)).await;
        authority.gate.add_permits(1);
        until("a ninth", || authority.asked().len() == 9).await;
        assert_eq!(authority.asked()[8], last.service_account(), "the awaited one goes first");
        authority.gate.add_permits(100);
    };
    let (got, ()) = tokio::join!(certificates.get(&last), open);
    got.expect("issued");
    until("all", || names.iter().all(|name| certificates.current(&id(name)).is_some())).await;
    assert_eq!(authority.most_at_once.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn a_slot_given_to_an_aborted_fetch_is_not_lost() {
    let authority = Authority::new(false, LIFE);
    let settings =
        CertSettings { concurrency: 1, clock: Arc::clone(&authority.clock), ..Default::default() };
    let certificates = Certificates::new(Arc::clone(&authority) as Arc<dyn Issuer>, settings);
    for round in 0..20 {
        let name = format!("r{round}");
        certificates.want(&ids(&[&name, "x"]));
        tokio::task::yield_now().await;
    }
    certificates.want(&ids(&["z"]));
    authority.gate.add_permits(1000);
    certificates.get(&id("z")).await.expect("the slot is free again");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_noticed() {
    let authority = Authority::new(true, LIFE);
    let offset = Arc::new(Mutex::new(Duration::ZERO));
    let (base, jump) = (Arc::clone(&authority.clock), Arc::clone(&offset));
    let clock: Clock = Arc::new(move || base() + *jump.lock().expect("lock"));
    let settings = CertSettings { clock, ..Default::default() };
    let certificates = Certificates::new(Arc::clone(&authority) as Arc<dyn Issuer>, settings);
    certificates.get(&id("a")).await.expect("issued");
    *offset.lock().expect("lock") = LIFE * 3 / 4;
    sleep(Duration::from_secs(31)).await;
    assert!(authority.asked().len() >= 2, "refreshed soon after the jump");
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_issues_dead_certificates_is_not_asked_in_a_loop() {
    let authority = Authority::new(true, Duration::ZERO);
    let certificates = authority.certificates();
    let error = certificates.get(&id("a")).await.expect_err("expired at birth");
    assert!(error.to_string().contains("expired certificate"), "{error}");
    assert!(authority.asked().len() <= 5, "{}", authority.asked().len());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_identities_is_bounded() {
    let authority = Authority::new(true, LIFE);
    let settings = CertSettings {
        max_identities: 2,
        clock: Arc::clone(&authority.clock),
        ..Default::default()
    };
    let certificates = Certificates::new(Arc::clone(&authority) as Arc<dyn Issuer>, settings);
    certificates.want(&ids(&["a", "b", "c"]));
    assert_eq!(certificates.dump().len(), 2);
    let error = certificates.get(&id("c")).await.expect_err("full");
    assert_eq!(error, CertError::TooMany { id: id("c"), limit: 2 });
}

#[tokio::test(start_paused = true)]
async fn the_dump_shows_chain_and_roots_sorted() {
    let authority = Authority::new(true, LIFE);
    let certificates = authority.certificates();
    certificates.get(&id("b")).await.expect("issued");
    certificates.get(&id("a")).await.expect("issued");
    let dump = certificates.dump();
    let identities: Vec<&str> = dump.iter().map(|one| one.identity.as_str()).collect();
    assert_eq!(identities, [id("a").to_string(), id("b").to_string()]);
    let (leaf, root) = (&dump[0].cert_chain[0], &dump[0].root_certs[0]);
    let json = serde_json::to_string(&dump[0]).expect("JSON");
    for key in ["certChain", "rootCerts", "serialNumber", "validFrom", "expirationTime"] {
        assert!(json.contains(key), "{key} in {json}");
    }
    assert!(leaf.valid_from.ends_with('Z'), "{}", leaf.valid_from);
    assert!(leaf.serial_number.bytes().all(|b| b.is_ascii_digit()), "{}", leaf.serial_number);
    assert_ne!(leaf.pem, root.pem);
    assert!(!json.contains("PRIVATE"));
}

#[test]
fn pauses_double_and_end_with_the_certificate() {
    let mut retry = Retry::default();
    let held = Some(Duration::from_secs(1000));
    let pauses: Vec<u64> = (0..10).map(|_| retry.next(held, 0.5).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 150, 150]);
    assert_eq!(retry.next(Some(Duration::from_secs(7)), 0.5).as_secs(), 7);
    assert!(retry.next(None, 0.9999).as_secs() < 30, "none held");
    retry.reset();
    assert_eq!(retry.next(None, 0.5).as_secs(), 1);
}
