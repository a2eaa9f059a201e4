//! A small shop: programs that know nothing of a mesh, for demonstrations and tests.
//!
//! ```text
//! traffic ──► web ──► orders ──► payments (v1, v2)
//!                       └──────► inventory          policy: answers a proxy's questions
//! ```
//!
//! Each service answers JSON that names itself, its version, the address that it saw its
//! caller come from, and inside it the answers of the services that it called.
//!
//! - [`command`]: the command line of each program
//! - [`service`]: what web, orders, payments and inventory answer
//! - [`server`], [`client`]: HTTP/1.1, a new connection for every call
//! - [`answer`]: the JSON that they exchange
//! - [`policy`]: an `ext_authz` engine that decides by a file of relationships
//! - [`traffic`]: a steady customer that counts what it gets

pub mod answer;
pub mod client;
pub mod command;
pub mod policy;
pub mod server;
pub mod service;
pub mod traffic;

pub use answer::Answer;
pub use command::Program;
pub use traffic::Tally;
