//! So many in a second, and a count of what was left out.

use std::time::{Duration, Instant};

/// The time in which things are counted.
pub(crate) const LENGTH: Duration = Duration::from_secs(1);

/// Lets some things through within each [`LENGTH`], and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Window {
    begun: Option<Instant>,
    passed: u32,
    left_out: u64,
}

/// What becomes of one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It passes, and so many before it did not.
    Pass { left_out: u64 },
    /// It is left out.
    LeftOut {
        /// Whether it is the first one since they were counted last.
        first: bool,
    },
}

impl Window {
    /// Whether one more passes, if at most `most` do within a window.
    pub(crate) fn admit(&mut self, now: Instant, most: u32) -> Admission {
        if self.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= LENGTH) {
            (self.begun, self.passed) = (Some(now), 1);
            return Admission::Pass { left_out: std::mem::take(&mut self.left_out) };
        }
        if self.passed < most {
            self.passed += 1;
            return Admission::Pass { left_out: 0 };
        }
        self.leave_out()
    }

    /// Whether some were left out and are not reported yet.
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out > 0
    }

    /// Counts one more that does not pass.
    pub(crate) fn leave_out(&mut self) -> Admission {
        self.left_out += 1;
        Admission::LeftOut { first: self.left_out == 1 }
    }

    /// Ends a window in which some were left out; how many. The report of them is the first to pass in the next one.
    pub(crate) fn end_window(&mut self, now: Instant) -> u64 {
        if self.left_out > 0 {
            (self.begun, self.passed) = (Some(now), 1);
        }
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::Admission::{LeftOut, Pass};
    use super::*;

    #[test]
    fn at_most_so_many_pass_and_the_others_are_counted_once() {
        let mut window = Window::default();
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(window.admit(begun, 3), Pass { left_out: 0 });
        }
        assert_eq!(window.admit(begun, 3), LeftOut { first: true });
        assert_eq!(window.admit(begun + LENGTH / 2, 3), LeftOut { first: false });
        assert_eq!(window.admit(begun + LENGTH, 3), Pass { left_out: 2 });
        assert_eq!(window.end_window(begun + LENGTH), 0);

        let (mut window, later) = (Window::default(), begun + LENGTH);
        assert_eq!(window.admit(begun, 1), Pass { left_out: 0 });
        assert_eq!(window.admit(begun, 1), LeftOut { first: true });
        assert_eq!(window.end_window(later), 1);
        assert_eq!(window.admit(later + LENGTH / 2, 1), LeftOut { first: true }, "the report was one");
        assert_eq!(window.end_window(later + LENGTH), 1);
    }
}
