//! The bounds of the control plane: each with its value and what happens there.

use std::time::Duration;

/// Largest file that the source reads, bytes. A larger one is reported and its last good
/// objects stay in force.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Files that the source looks at; with more, the whole new state is refused by this name
/// and the last good one stays.
pub const MAX_FILES: usize = 20_000;

/// Objects that the source holds; with more, the whole new state is refused by this name and
/// the last good one stays.
pub const MAX_OBJECTS: usize = 250_000;

/// How deep folders nest below the directory; also ends loops of symbolic links.
pub const MAX_DEPTH: usize = 16;

/// Problems kept for the status page; later ones are counted only.
pub const MAX_PROBLEMS: usize = 1_000;

/// A file must have rested this long before it is read: half-written files are passed over.
pub const SETTLE: Duration = Duration::from_millis(40);

/// How often the directory is looked at, events or not.
pub const POLL: Duration = Duration::from_secs(1);

/// Longest message that a client may send, bytes. A reconnecting proxy lists every resource
/// that it holds, some 100 bytes each.
pub const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Longest answer of a proxy about what it remembers, bytes. What an answer may have is limited
/// by the question; a longer one ends the proxy's call.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Longest message for the certificate and node services, bytes.
pub const MAX_SMALL_REQUEST_BYTES: usize = 64 << 10;

/// Discovery and node streams open at once; more are refused with `RESOURCE_EXHAUSTED`.
pub const MAX_STREAMS: usize = 10_000;

/// Connections that are in their TLS handshake at once; more wait in the accept queue.
pub const MAX_HANDSHAKES: usize = 256;

/// A TLS handshake ends after this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Responses that wait for one subscriber's transport. Everything else that it has to hear is
/// a position in the log of changes and costs nothing.
pub const SEND_QUEUE: usize = 2;

/// A subscriber whose transport takes no response for this long is cut; it resyncs when it
/// reconnects.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// Names that one subscriber may ask for on demand.
pub const MAX_NAMES_PER_STREAM: usize = 100_000;

/// Removals remembered for subscribers that are behind; one that is further behind is cut and
/// resyncs.
pub const MAX_TOMBSTONES: usize = 100_000;

/// Reports of one node that are kept: pods per node, generously.
pub const MAX_REPORTS_PER_NODE: usize = 2_000;

/// How long a machine may have no node stream before what it last said of its waypoints is
/// doubted, by default.
pub const NODE_GRACE: Duration = Duration::from_secs(30);

/// Longest reason in a report, characters.
pub const MAX_REASON: usize = 512;

/// Certificates signed at once; more wait.
pub const MAX_SIGNING: usize = 32;

/// Unused join tokens kept; with more, none is made.
pub const MAX_JOIN_TOKENS: usize = 10_000;

/// Longest token of a cluster that is reviewed, bytes.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Tokens under review by the API server at once; more callers wait.
pub const MAX_REVIEWS: usize = 32;

/// Accepted tokens that are remembered for a minute; with more, the others are reviewed at
/// each call.
pub const MAX_REVIEWED_TOKENS: usize = 50_000;

/// Hosts of ServiceEntries that have addresses of their own; further ones have none, and their
/// object says so. The numbers of a block of 16 bits less its first and last.
pub const MAX_GIVEN_ADDRESSES: u64 = 65_534;

/// Hosts, addresses or ports of one ServiceEntry; one with more is not read.
pub const MAX_ENTRY_ITEMS: usize = 256;

/// Endpoints of one ServiceEntry; one with more is not read.
pub const MAX_ENTRY_ENDPOINTS: usize = 4_096;
/// Rules of one RequestAuthentication; with more, it is not understood.
pub const MAX_JWT_RULES: usize = 128;

/// Key sets of issuers that are fetched; tokens of further issuers are refused.
pub const MAX_KEY_SETS: usize = 1_000;

/// Longest key set, bytes; of a longer one the last good version stays in force.
pub const MAX_KEY_SET: usize = 256 << 10;

/// Keys of one key set; with more, the last good version stays in force.
pub const MAX_KEYS: usize = 64;

/// Key sets that are fetched at once; others wait.
pub const MAX_FETCHES: usize = 8;

/// Longest time that a user may give a fetch.
pub const LONGEST_FETCH: Duration = Duration::from_mins(1);

/// Questions to a Prometheus at once; others wait.
pub const MAX_PROMETHEUS_QUERIES: usize = 4;

/// Longest answer of a Prometheus, bytes; a longer one counts as none.
pub const MAX_PROMETHEUS_ANSWER: usize = 16 << 20;

/// Series of one such answer; with more, it counts as none.
pub const MAX_PROMETHEUS_SERIES: usize = 20_000;

/// Connections of readers beyond this machine at once, handshakes included; more wait in the
/// accept queue.
pub const MAX_DASHBOARD_CONNECTIONS: usize = 256;

/// Of them, those of one address, or of one network of 64 bits; further ones are closed.
pub const MAX_DASHBOARD_CONNECTIONS_OF_ONE: usize = 64;

/// How long a reader beyond this machine may take for the head or the body of a request.
pub const DASHBOARD_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection of such a reader lives: then its certificate is verified anew.
pub const DASHBOARD_CONNECTION_LIFE: Duration = Duration::from_mins(2);

/// Largest head of a request of such a reader, bytes: a token and a cookie have room in it.
pub const MAX_DASHBOARD_HEAD: usize = 32 << 10;

/// Largest body with which somebody signs in, bytes.
pub const MAX_DASHBOARD_BODY: usize = 32 << 10;

/// Largest file with a certificate, a key or authorities of readers, bytes.
pub const MAX_DASHBOARD_FILE: usize = 1 << 20;

/// Browsers that are signed in at once; with more, nobody signs in until one signs out or ends.
pub const MAX_DASHBOARD_SESSIONS: usize = 1_000;

/// Of them, those of one user; with more, the oldest is signed out.
pub const MAX_DASHBOARD_SESSIONS_OF_ONE: usize = 16;

/// How long a browser stays signed in at most.
pub const DASHBOARD_SESSION_LIFE: Duration = Duration::from_hours(1);

/// Accepted tokens of readers that are remembered; with more, the others are reviewed at each
/// request.
pub const MAX_DASHBOARD_TOKENS: usize = 1_000;

/// What is remembered of each of them: which pages it may read; others are asked about at each
/// request.
pub const MAX_DASHBOARD_RIGHTS: usize = 64;

/// How long what the API server said of a reader is not asked about again.
pub const DASHBOARD_MEMORY: Duration = Duration::from_secs(30);

/// Readers about whom the API server is asked at once; others wait, and are refused after 5 s.
pub const MAX_DASHBOARD_REVIEWS: usize = 16;

/// Tokens of one address, or of one network of 64 bits, that may be wrong in a minute; then no
/// further one is reviewed.
pub const MAX_DASHBOARD_FAILURES: u32 = 10;

/// Addresses whose failures are counted; with more, the one that began first is forgotten.
pub const MAX_DASHBOARD_SOURCES: usize = 4_096;
