//! The time of day, as files write it.

/// Now, in UTC, RFC 3339, to the millisecond.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}
