//! The ids of a span, and how they are written in `traceparent`.

use std::fmt;

/// The length of `00-TRACE-PARENT-FLAGS`.
const LENGTH: usize = 55;

/// The sampled flag.
const SAMPLED: u8 = 1;

/// Which trace, and which span of it.
///
/// ```
/// use atoll_host::trace::TraceContext;
///
/// let given = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
/// let own = given.child();
/// assert_eq!((own.trace_id(), own.is_sampled()), (given.trace_id(), true));
/// assert!(own.to_string().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// The first span of a new trace.
    pub(super) fn root(samples: impl FnOnce(u128) -> bool) -> Self {
        let trace_id = fastrand::u128(1..);
        Self { trace_id, span_id: fastrand::u64(1..), flags: if samples(trace_id) { SAMPLED } else { 0 } }
    }

    /// Reads the header; `None` when it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let head = text.get(..LENGTH)?;
        let [version, trace, span, flags] = head.split('-').collect::<Vec<_>>().try_into().ok()?;
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
        };
        // Later versions may add fields, and begin as this one does.
        let ends = match text.as_bytes().get(LENGTH) {
            None => true,
            Some(next) => version != "00" && *next == b'-',
        };
        let valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(span, 16)
            && is_hex(flags, 2)
            && ends;
        let context = Self {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            span_id: u64::from_str_radix(span, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (valid && context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: fastrand::u64(1..), ..self }
    }

    /// The trace's id.
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// The span's id.
    pub fn span_id(self) -> u64 {
        self.span_id
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// As in `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn the_trace_and_its_flags_stay() {
        for version in ["00", "01", "fe"] {
            let given = TraceContext::parse(&format!("{version}-{TRACE}-b7ad6b7169203331-01")).unwrap();
            assert_eq!(given.to_string(), format!("00-{TRACE}-b7ad6b7169203331-01"));
            let child = TraceContext { span_id: 0xab, ..given.child() };
            assert_eq!(child.to_string(), format!("00-{TRACE}-00000000000000ab-01"));
        }
        let later = TraceContext::parse(&format!("01-{TRACE}-b7ad6b7169203331-00-more")).unwrap();
        assert!(!later.is_sampled());
    }

    #[test]
    fn what_is_not_valid_is_none() {
        let zeros = "0".repeat(32);
        for given in [
            "",
            "00",
            &format!("ff-{TRACE}-b7ad6b7169203331-01"),
            &format!("00-{zeros}-b7ad6b7169203331-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-b7ad6b7169203331-0x"),
            &format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            &format!("01-{TRACE}-b7ad6b7169203331-01more"),
            &format!("00-{TRACE}-b7ad6b716920-331-01"),
            &format!("00-{TRACE}é"),
        ] {
            assert_eq!(TraceContext::parse(given), None, "{given}");
        }
    }

    #[test]
    fn a_trace_of_the_hosts_own_is_recorded_if_that_is_wanted() {
        for wanted in [true, false] {
            let root = TraceContext::root(|trace_id| trace_id != 0 && wanted);
            assert_eq!(root.is_sampled(), wanted);
            assert_eq!(TraceContext::parse(&root.to_string()), Some(root));
        }
    }
}
