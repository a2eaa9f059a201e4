//! Bytes that tell a lost, doubled, moved or changed byte, and their checksum.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

/// Bytes in one step.
const STEP: usize = 64 * 1024;

/// The pattern: 8-byte little-endian numbers, each scrambled from its position.
#[derive(Debug, Clone, Default)]
pub struct Pattern {
    position: u64,
}

impl Pattern {
    /// Fills `bytes` with what comes next.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = scramble(self.position / 8).to_le_bytes();
            let within = (self.position % 8) as usize;
            let count = rest.len().min(8 - within);
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&word[within..within + count]);
            self.position += count as u64;
            rest = later;
        }
    }

    /// Whether `bytes` are what comes next; else the position of the first that is not.
    ///
    /// # Errors
    /// That position in the stream.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), u64> {
        let start = self.position;
        let mut want = vec![0; bytes.len()];
        self.fill(&mut want);
        match bytes.iter().zip(&want).position(|(got, want)| got != want) {
            Some(at) => Err(start + at as u64),
            None => Ok(()),
        }
    }
}

/// A permutation that leaves no two neighbours alike: the finaliser of splitmix64.
fn scramble(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Writes the first `count` bytes of the pattern.
///
/// # Errors
/// As the writer.
pub fn write(to: &mut impl Write, count: u64) -> io::Result<()> {
    let mut pattern = Pattern::default();
    let mut buffer = vec![0; STEP];
    let mut left = count;
    while left > 0 {
        let now = left.min(STEP as u64) as usize;
        pattern.fill(&mut buffer[..now]);
        to.write_all(&buffer[..now])?;
        left -= now as u64;
    }
    to.flush()
}

/// How many bytes, and an FNV-1a checksum over their 8-byte words and what is left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The number of bytes.
    pub bytes: u64,
    /// The checksum.
    pub checksum: u64,
}

impl Sum {
    /// Of everything that can be read.
    ///
    /// # Errors
    /// As the reader.
    pub fn of(from: &mut impl Read) -> io::Result<Self> {
        let mut sum = Summing::default();
        let mut buffer = vec![0; STEP];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(sum.finish()),
                Ok(count) => sum.add(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Of the first `count` bytes of the pattern.
    pub fn of_pattern(count: u64) -> Self {
        let mut sum = Summing::default();
        let mut pattern = Pattern::default();
        let mut buffer = vec![0; STEP];
        let mut left = count;
        while left > 0 {
            let now = left.min(STEP as u64) as usize;
            pattern.fill(&mut buffer[..now]);
            sum.add(&buffer[..now]);
            left -= now as u64;
        }
        sum.finish()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:016x}", self.bytes, self.checksum)
    }
}

impl FromStr for Sum {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let parts = text.trim().split_once(' ').ok_or_else(|| {
            io::Error::other(format!("{text:?} is no sum; a sum is a number and 16 hex digits"))
        })?;
        Ok(Self {
            bytes: parts.0.parse().map_err(io::Error::other)?,
            checksum: u64::from_str_radix(parts.1, 16).map_err(io::Error::other)?,
        })
    }
}

/// A sum that is being made.
#[derive(Debug)]
pub struct Summing {
    bytes: u64,
    checksum: u64,
    /// Bytes that do not fill a word yet.
    pending: [u8; 8],
}

impl Default for Summing {
    fn default() -> Self {
        Self { bytes: 0, checksum: 0xcbf2_9ce4_8422_2325, pending: [0; 8] }
    }
}

impl Summing {
    /// Adds the next bytes.
    pub fn add(&mut self, mut bytes: &[u8]) {
        let within = (self.bytes % 8) as usize;
        self.bytes += bytes.len() as u64;
        if within > 0 {
            let count = bytes.len().min(8 - within);
            self.pending[within..within + count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if within + count < 8 {
                return;
            }
            self.word(self.pending);
        }
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.word(word.try_into().unwrap_or_default());
        }
        self.pending[..words.remainder().len()].copy_from_slice(words.remainder());
    }

    fn word(&mut self, word: [u8; 8]) {
        let mixed = self.checksum ^ u64::from_le_bytes(word);
        self.checksum = mixed.wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    /// The sum of what was added.
    pub fn finish(mut self) -> Sum {
        let within = (self.bytes % 8) as usize;
        if within > 0 {
            self.pending[within..].fill(0);
            self.word(self.pending);
        }
        Sum { bytes: self.bytes, checksum: self.checksum }
    }
}

#[cfg(test)]
mod tests;
