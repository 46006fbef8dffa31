//! Points in time as people write them: ISO 8601 in UTC, which compares as text in `--where`.

const DAY_SECONDS: i64 = 86_400;
const NANOSECONDS: i64 = 1_000_000_000;

/// `2026-11-21T10:04:00Z` of nanoseconds since 1970.
pub(super) fn iso_from_nanoseconds(nanoseconds: i64) -> String {
    iso_from_seconds(nanoseconds.div_euclid(NANOSECONDS))
}

/// `2026-11-21T10:04:00Z` of seconds since 1970.
pub(super) fn iso_from_seconds(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day's number since 1970, by the usual trick of letting years begin in March:
/// the leap day is then the last of its year (H. Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(iso_from_seconds(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_from_seconds(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso_from_seconds(1_795_255_440), "2026-11-21T10:04:00Z");
        assert_eq!(iso_from_seconds(-1), "1969-12-31T23:59:59Z");
        assert_eq!(iso_from_nanoseconds(-1), "1969-12-31T23:59:59Z");
    }
}
