//! A fleet in numbers.

use super::presence::Presence;
use super::record::Record;
use super::settled::is_right;

/// What a host sees of its fleet, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FleetSummary {
    /// The fleet's name.
    pub(crate) fleet: String,
    /// Whether the host is connected to NATS.
    pub(crate) is_connected: bool,
    /// The hosts that were heard of lately, with this one.
    pub(crate) hosts: u64,
    /// The apps of the fleet that are not what they should be on this host.
    pub(crate) out_of_date: u64,
}

/// How many apps of these records are not what they should be on a host.
pub(super) fn out_of_date<'a>(
    host: &Presence,
    records: impl IntoIterator<Item = (&'a String, &'a Record)>,
) -> u64 {
    let wrong = records.into_iter().filter(|(app, record)| !is_right(record, host, host.apps.get(*app)));
    wrong.count() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fleet::record::Wave;
    use crate::fleet::record::tests::begun;
    use crate::fleet::waves::tests::host;

    #[test]
    fn apps_with_another_version_or_none_are_out_of_date() {
        let records = |version: &str| {
            ["app", "other"].map(|app| (app.to_owned(), begun(None, version, Wave::All))).into()
        };
        let count = |records: &BTreeMap<_, _>| out_of_date(&host("a", "2"), records);
        assert_eq!((count(&records("2")), count(&records("3"))), (1, 2));
        assert_eq!(count(&BTreeMap::new()), 0);
    }
}
