//! The body of an answer, with everything that ends with it.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::failure::Failure;
use crate::http::body::{Body, Cut, Observed, Observer};
use crate::http::leash::Leash;
use crate::http::upload::Upload;
use crate::standing::Standing;
use crate::upstream::pool::Lease;

/// The answer's body: it ends the record and frees the connection.
struct ResponseBody {
    record: Option<crate::record::Record>,
    lease: Option<Lease>,
    upload: Option<Upload>,
    leash: Option<Leash>,
    /// What it is to be late.
    late: Option<Failure>,
}

impl ResponseBody {
    fn let_go(&mut self) {
        self.lease = None;
        if let Some(upload) = self.upload.take() {
            upload.sever();
        }
        if let Some(leash) = self.leash.take() {
            leash.release();
        }
    }
}

impl Observer for ResponseBody {
    fn data(&mut self, frame: &Bytes) {
        if let Some(record) = &mut self.record {
            record.received(frame.len() as u64);
        }
    }

    fn trailers(&mut self, trailers: &http::HeaderMap) {
        if let Some(record) = &mut self.record {
            record.grpc_status(trailers);
        }
    }

    fn end(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.complete();
        }
        // An application may answer first and read on.
        self.upload = None;
        self.let_go();
    }

    fn cut(&mut self, why: Cut) {
        if let Some(mut record) = self.record.take() {
            record.cut(why, self.late.take());
        }
        self.let_go();
    }
}

/// Whoever held it is gone: its client, or something from outside that has said why.
impl Drop for ResponseBody {
    fn drop(&mut self) {
        let outside =
            self.record.as_ref().and_then(|record| record.cut_from_outside().get().cloned());
        match outside {
            Some(why) => self.cut(why),
            None => self.let_go(),
        }
    }
}

/// What goes with the body of an answer, and ends with it.
pub struct Rest {
    /// Written.
    pub record: crate::record::Record,
    /// Given back.
    pub lease: Option<Lease>,
    /// The rest of the request: severed if the answer does not end in order.
    pub upload: Option<Upload>,
    /// When it must be complete, and what it is if it is late.
    pub deadline: Option<(Instant, Failure)>,
    /// What may end it before.
    pub standing: Option<Standing>,
    /// The same for a client that does not read.
    pub leash: Option<Leash>,
}

impl Rest {
    /// An answer of our own has nothing but its record.
    pub fn of(record: crate::record::Record) -> Self {
        let (lease, upload, deadline, standing, leash) = (None, None, None, None, None);
        Self { record, lease, upload, deadline, standing, leash }
    }
}

/// The body of an answer with what it ends. A body that is cut closes an HTTP/1.1 connection by
/// itself, and resets a stream of HTTP/2.
pub fn recorded(body: Body, rest: Rest) -> Body {
    let Rest { record, lease, upload, deadline, standing, leash } = rest;
    let (at, late) = deadline.unzip();
    let observer = ResponseBody { record: Some(record), lease, upload, leash, late };
    Observed::new(body, observer, at.map(Into::into), standing).boxed_unsync()
}
