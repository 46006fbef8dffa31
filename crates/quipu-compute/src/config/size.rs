//! Sizes as people write them.

use crate::error::ComputeError;

/// Units by what follows the number, in lower case. A decimal and a binary one differ as the standards have it.
const UNITS: [(&str, u64); 12] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1000),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Bytes of a written size: `"2097152"`, `"4MB"` (four million), `"512KiB"`, `"1.5 GiB"`; `None` if it is none.
///
/// ```
/// # use quipu_compute::parse_size;
/// assert_eq!(parse_size("512KiB"), Some(512 * 1024));
/// assert_eq!(parse_size("1.5 mb"), Some(1_500_000));
/// assert_eq!(parse_size("4 apples"), None);
/// ```
#[must_use]
pub fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    if let Ok(whole) = number.parse::<u64>() {
        return usize::try_from(whole.checked_mul(scale)?).ok();
    }
    #[allow(clippy::cast_precision_loss)]
    let bytes = number.parse::<f64>().ok()? * scale as f64;
    // Far below 2^52: a fraction of a larger size is nobody's stack.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (bytes.is_finite() && bytes < 1e15).then_some(bytes as usize)
}

/// As [`parse_size`], with an error that names the `setting`.
pub(super) fn setting(setting: &str, text: &str) -> Result<usize, ComputeError> {
    let unknown = || ComputeError::Setting {
        setting: setting.to_owned(),
        value: text.to_owned(),
        expected: "a size such as \"4MB\" or \"512KiB\"",
    };
    parse_size(text).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let check = |text, bytes| assert_eq!(parse_size(text), bytes, "{text}");
        check("4MB", Some(4_000_000));
        check("4 MiB", Some(4 << 20));
        check("512KiB", Some(512 << 10));
        check(" 2097152 ", Some(2 << 20));
        check("2097152B", Some(2 << 20));
        check("1.5GiB", Some(3 << 29));
        for wrong in
            ["", "MB", "-1", "4 XB", "1e3", "1.2.3", ".", "99999999999999999999", "18446744073709551615 kib"]
        {
            check(wrong, None);
        }
    }
}
