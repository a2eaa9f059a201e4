//! What the shop's services answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::StatusCode;

use crate::answer::Answer;
use crate::client::{self, CallError};
use crate::server::{Answers, Call};

/// How long a service waits for another.
const CALL_LIMIT: Duration = Duration::from_secs(3);

/// Which service to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The shop's front: `/` orders a lamp, `/admin` asks orders for what only staff may see.
    Web,
    /// `/orders` takes a payment and something from the shelf; `/admin` lists all orders.
    Orders,
    /// `/pay`.
    Payments,
    /// `/take`.
    Inventory,
}

impl Role {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Inventory => "inventory",
        }
    }
}

/// Where a service finds the others.
#[derive(Clone, Debug, Args)]
pub struct Neighbours {
    /// The orders service
    #[arg(long, default_value = "http://orders.shop")]
    pub orders: String,
    /// The payments service
    #[arg(long, default_value = "http://payments.shop")]
    pub payments: String,
    /// The inventory service
    #[arg(long, default_value = "http://inventory.shop")]
    pub inventory: String,
}

/// A service of the shop.
#[derive(Debug)]
pub struct Service {
    role: Role,
    version: String,
    neighbours: Neighbours,
    /// Orders taken, or lamps sold: whatever it counts.
    count: AtomicU64,
}

impl Service {
    /// A service of this version.
    pub fn new(role: Role, version: &str, neighbours: Neighbours) -> Self {
        Self { role, version: version.to_owned(), neighbours, count: AtomicU64::new(0) }
    }

    fn says(&self, call: &Call, says: impl Into<String>) -> Answer {
        Answer {
            service: self.role.name().to_owned(),
            version: self.version.clone(),
            // A dual-stack listener sees IPv4 in IPv6's clothes.
            peer: call.peer.ip().to_canonical(),
            says: says.into(),
            error: None,
            calls: Vec::new(),
        }
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An answer that rests on those of others; all are asked at the same time.
    async fn relay<const N: usize>(
        &self,
        call: &Call,
        says: String,
        urls: [String; N],
    ) -> (StatusCode, Answer) {
        let mut answer = self.says(call, says);
        let mut status = StatusCode::OK;
        let asked: Vec<_> = urls
            .into_iter()
            .map(|url| {
                let id = call.id.clone();
                tokio::spawn(async move { ask(&url, &id).await })
            })
            .collect();
        for task in asked {
            match task.await {
                Ok(Ok(theirs)) => answer.calls.push(theirs),
                Ok(Err(refusal)) => {
                    status = refusal.status;
                    answer.error = Some(refusal.words);
                    answer.calls.extend(refusal.answer);
                }
                Err(error) => {
                    status = StatusCode::INTERNAL_SERVER_ERROR;
                    answer.error = Some(error.to_string());
                }
            }
        }
        (status, answer)
    }
}

impl Answers for Service {
    async fn answer(&self, call: Call) -> (StatusCode, Answer) {
        let Neighbours { orders, payments, inventory } = &self.neighbours;
        let done = StatusCode::OK;
        match (self.role, call.path.as_str()) {
            (Role::Web, "/") => {
                let says = "Thank you for your order!".to_owned();
                self.relay(&call, says, [format!("{orders}/orders")]).await
            }
            (Role::Web, "/admin") => {
                let says = "The books, please.".to_owned();
                self.relay(&call, says, [format!("{orders}/admin")]).await
            }
            (Role::Orders, "/orders") => {
                let says = format!("order {}: one lamp", self.next());
                let urls = [format!("{payments}/pay"), format!("{inventory}/take")];
                self.relay(&call, says, urls).await
            }
            (Role::Orders, "/admin") => {
                let taken = self.count.load(Ordering::Relaxed);
                (done, self.says(&call, format!("{taken} orders so far, for staff only")))
            }
            (Role::Payments, "/pay") => {
                (done, self.says(&call, format!("payment {} taken: 25 EUR", self.next())))
            }
            (Role::Inventory, "/take") => {
                (done, self.says(&call, format!("lamp {} leaves the shelf", self.next())))
            }
            (_, path) => {
                let mut answer = self.says(&call, "");
                answer.error = Some(format!("{} has no {path}", self.role.name()));
                (StatusCode::NOT_FOUND, answer)
            }
        }
    }
}

/// What a neighbour refused, with its status, or 502 where there was no answer at all.
struct Refusal {
    status: StatusCode,
    words: String,
    answer: Option<Answer>,
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self { status: StatusCode::BAD_GATEWAY, words: error.words(), answer: None }
    }
}

async fn ask(url: &str, id: &str) -> Result<Answer, Refusal> {
    let reply = client::get(url, id, CALL_LIMIT).await?;
    let answer: Option<Answer> = serde_json::from_slice(&reply.body).ok();
    match answer {
        Some(answer) if reply.status.is_success() => Ok(answer),
        answer => Err(Refusal {
            status: reply.status,
            words: format!("{url} answered {}", reply.status),
            answer,
        }),
    }
}

#[cfg(test)]
mod tests;
