//! A name server for tests: answers for A records as it is told, over UDP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Address and time to live of a name.
type Records = Arc<Mutex<BTreeMap<String, (Ipv4Addr, u32)>>>;

/// The server; it ends with the value.
pub(crate) struct Names {
    records: Records,
    task: JoinHandle<()>,
}

impl Names {
    /// Listens on `at`.
    pub(crate) async fn serve(at: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(at).await?;
        let records = Records::default();
        let known = Arc::clone(&records);
        let task = tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                if let Some(answer) = question.get(..length).and_then(|q| answer(q, &known)) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { records, task })
    }

    /// Sets the address of a name; without one there is no such name.
    pub(crate) fn set(&self, name: &str, record: Option<(Ipv4Addr, u32)>) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        match record {
            Some(record) => drop(records.insert(name.to_owned(), record)),
            None => drop(records.remove(name)),
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035 section 4.1.
fn answer(question: &[u8], records: &Records) -> Option<Vec<u8>> {
    let (name, end) = name(question.get(12..)?)?;
    let asked = question.get(12..12 + end + 4)?;
    let is_a = asked.get(end..end + 2)? == [0, 1];
    let records = records.lock().unwrap_or_else(PoisonError::into_inner);
    let found = records.get(&name.to_ascii_lowercase());
    let code = if found.is_some() { 0x80 } else { 0x83 };
    let answers = u8::from(found.is_some() && is_a);
    let mut message = question.get(..2)?.to_vec();
    message.extend([0x81, code, 0, 1, 0, answers, 0, 0, 0, 0]);
    message.extend(asked);
    if let (Some((ip, life)), true) = (found, is_a) {
        message.extend([0xc0, 12, 0, 1, 0, 1]);
        message.extend(life.to_be_bytes());
        message.extend([0, 4]);
        message.extend(ip.octets());
    }
    Some(message)
}

/// A name and its length on the wire.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8(bytes.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
}
