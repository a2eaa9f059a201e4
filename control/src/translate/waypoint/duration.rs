//! Durations as the Gateway API (GEP-2257) and the mesh configuration write them.

/// Reads `500ms`, `1h30m` or `0.05s`; at most 32 characters.
pub(crate) fn read(text: &str) -> Option<prost_types::Duration> {
    let mut rest = text;
    let mut nanos: u64 = 0;
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end)?;
        let unit: u64 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" => 1_000,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = next;
    }
    std::time::Duration::from_nanos(nanos).try_into().ok()
}

/// A decimal number times `unit`, exactly.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_add(parts.checked_mul(unit)? / scale)
}

#[cfg(test)]
mod tests;
