//! Server-sent events (HTML standard, "Server-sent events") out of bytes as they come.

/// Longest event that is read, bytes; a longer one is left out.
const LONGEST: usize = 1 << 20;

/// What came of events that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    name: String,
    data: String,
    too_long: bool,
}

impl Events {
    /// The events, name and data, that are whole with these bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<(String, String)> {
        let mut whole = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line =
                        String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                    whole.extend(self.line(line.trim_end_matches('\r')));
                }
                byte if self.line.len() < LONGEST => self.line.push(*byte),
                _ => self.too_long = true,
            }
        }
        whole
    }

    fn line(&mut self, line: &str) -> Option<(String, String)> {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            let too_long = std::mem::take(&mut self.too_long);
            return (!data.is_empty() && !too_long).then_some((name, data));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" if self.data.len() + value.len() < LONGEST => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "data" => self.too_long = true,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let text =
            ": hello\n\nevent: incident\ndata: {\"a\":\ndata: 1}\n\nevent: tick\r\ndata:2\r\n\r\n";
        let want = vec![
            ("incident".to_owned(), "{\"a\":\n1}".to_owned()),
            ("tick".to_owned(), "2".to_owned()),
        ];
        assert_eq!(Events::default().take(text.as_bytes()), want);
        let mut events = Events::default();
        let one_by_one: Vec<_> = text.bytes().flat_map(|byte| events.take(&[byte])).collect();
        assert_eq!(one_by_one, want);
    }

    #[test]
    fn an_endless_event_takes_bounded_memory_and_the_next_is_read() {
        let mut events = Events::default();
        for _ in 0..40 {
            assert!(events.take(&[b'x'; 100_000]).is_empty());
        }
        assert!(events.line.len() <= LONGEST);
        let next = events.take(b"\n\nevent: tick\ndata: 1\n\n");
        assert_eq!(next, vec![("tick".to_owned(), "1".to_owned())]);
    }
}
