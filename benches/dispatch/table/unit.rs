//! How values are shown and compared.

/// What is shown of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// A time, in seconds.
    Time,
    /// A time in seconds, of which is shown how many there are in a second; with the unit: `/s`, `MiB/s`.
    Rate(&'static str),
    /// Memory, in KiB.
    Memory,
    /// Instructions of a processor.
    Instructions,
}

impl Unit {
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Rate(unit) => format!("{:.0} {unit}", 1.0 / value),
            Self::Time if value < 1e-6 => format!("{:.1} ns", value * 1e9),
            Self::Time if value < 1e-3 => format!("{:.1} µs", value * 1e6),
            Self::Time => format!("{:.1} ms", value * 1e3),
            Self::Memory => format!("{value:.0} KiB"),
            Self::Instructions => format!("{value:.0}"),
        }
    }

    /// How much of the one there is for each of the other.
    pub(super) fn ratio(self, value: f64, base: f64) -> f64 {
        match self {
            Self::Time | Self::Memory | Self::Instructions => value / base,
            Self::Rate(_) => base / value,
        }
    }
}
