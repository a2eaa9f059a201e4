//! Numbers with their units.

use std::time::Duration;

/// Bytes in the largest unit that leaves a number of 1 or more: `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A span as people say it, two units at most: `3d4h`, `12m5s`, `8s`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let parts = [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm')];
    let Some(first) = parts.iter().position(|(count, _)| *count > 0) else {
        return format!("{seconds}s");
    };
    let next = parts.get(first + 1).copied().unwrap_or((seconds % 60, 's'));
    let (count, unit) = parts[first];
    if next.0 == 0 {
        format!("{count}{unit}")
    } else {
        format!("{count}{unit}{}{}", next.0, next.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        for (count, want) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (u64::MAX, "16777216.0 TiB")]
        {
            assert_eq!(bytes(count), want);
        }
        for (seconds, want) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (725, "12m5s"), (7200, "2h"), (273_600, "3d4h")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), want);
        }
    }
}
