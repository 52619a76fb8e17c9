//! What a host does when it sees the record of an app.

use super::record::{Labels, Record, Release, Target, Wanted};

/// What a host has of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    /// Whether there is the app.
    pub(crate) is_registered: bool,
    /// The id of the current version.
    pub(crate) current: Option<String>,
    /// The id of the version that the host rolls out by the setting `rollout` of the app.
    pub(crate) rolling: Option<String>,
    /// The last revision of the record whose target the host refused.
    pub(crate) refused: Option<u64>,
}

/// What a host does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// It has what it is to have, or has refused it.
    Nothing,
    /// It fetches the version, and serves it.
    Serve(Box<Release>),
    /// It goes back to what it had before: from the rollout that it has begun, or else from the current version.
    GoBack,
    /// It removes the app.
    Remove,
    /// It removes the app, whose versions are for hosts with other labels.
    Leave,
}

/// What a host with these labels does when it sees a record with this revision.
pub(crate) fn task(record: &Record, revision: u64, (host, labels): (&str, &Labels), local: &Local) -> Task {
    if local.refused == Some(revision) {
        return Task::Nothing;
    }
    let has = |version: &str| local.is_registered && local.current.as_deref() == Some(version);
    let rolls = |version: &str| local.is_registered && local.rolling.as_deref() == Some(version);
    let target = match record.wanted(host, labels) {
        Wanted::Same => return Task::Nothing,
        Wanted::NotHere => {
            let mut versions = local.current.iter().chain(&local.rolling);
            let has_any = local.is_registered && versions.any(|version| record.has_version(version));
            return if has_any { Task::Leave } else { Task::Nothing };
        }
        Wanted::Target(target) => target,
    };
    match target {
        Target::Version(release) if rolls(&release.version) => Task::Nothing,
        Target::Version(_) if local.is_registered && local.rolling.is_some() => Task::GoBack,
        Target::Version(release) if !has(&release.version) => Task::Serve(Box::new(release.clone())),
        Target::Withdrawn(version) if has(version) || rolls(version) => Task::GoBack,
        Target::Removed(_) if local.is_registered => Task::Remove,
        _ => Task::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::record::Wave;
    use crate::fleet::record::tests::{begun, release, release_on, with_role};

    /// What a host without labels does.
    fn task(record: &Record, revision: u64, host: &str, local: &Local) -> Task {
        super::task(record, revision, (host, &Labels::new()), local)
    }

    fn local(current: Option<&str>) -> Local {
        Local { is_registered: current.is_some(), current: current.map(str::to_owned), ..Local::default() }
    }

    fn serve(version: &str) -> Task {
        Task::Serve(Box::new(release(version)))
    }

    #[test]
    fn a_host_of_the_wave_serves_the_target_and_the_others_what_was_before() {
        let one = begun(None, "1", Wave::All);
        let two = begun(Some(&one), "2", Wave::Hosts(vec!["a".into()]));
        assert_eq!(task(&two, 5, "a", &local(Some("1"))), serve("2"));
        assert_eq!(task(&two, 5, "a", &local(Some("2"))), Task::Nothing);
        assert_eq!(task(&two, 5, "b", &local(Some("1"))), Task::Nothing);
        assert_eq!(task(&two, 5, "b", &local(Some("2"))), serve("1"), "it was in a wave before");
        assert_eq!(task(&two, 5, "b", &local(None)), serve("1"), "it has joined just now");
        assert_eq!(task(&begun(None, "1", Wave::Hosts(vec![])), 5, "b", &local(None)), Task::Nothing);
    }

    #[test]
    fn what_was_refused_is_tried_again_only_with_another_record() {
        let record = begun(None, "1", Wave::All);
        let refused = Local { refused: Some(5), ..local(Some("0")) };
        assert_eq!(task(&record, 5, "a", &refused), Task::Nothing);
        assert_eq!(task(&record, 6, "a", &refused), serve("1"));
    }

    #[test]
    fn an_app_is_removed_by_a_removal_only() {
        let removed = Record::removed(None, "ann", 1);
        assert_eq!(task(&removed, 5, "a", &local(Some("1"))), Task::Remove);
        assert_eq!(task(&removed, 5, "a", &local(None)), Task::Nothing);
        let without_version = Local { is_registered: true, ..Local::default() };
        assert_eq!(task(&removed, 5, "a", &without_version), Task::Remove);
        let kept = Local { is_registered: false, ..local(Some("1")) };
        assert_eq!(task(&begun(None, "1", Wave::All), 5, "a", &kept), serve("1"), "it was removed by hand");
    }

    #[test]
    fn a_host_with_other_labels_removes_what_it_has_of_the_fleet() {
        let one = begun(None, "1", Wave::All);
        let two = Record::begin(Some(&one), "app", release_on("2", "batch"), Wave::All).unwrap().unwrap();
        let batch = super::task(&two, 5, ("b", &with_role("batch")), &local(None));
        assert_eq!(batch, Task::Serve(Box::new(release_on("2", "batch"))));
        assert_eq!(task(&two, 5, "a", &local(Some("1"))), Task::Leave);
        assert_eq!(task(&two, 5, "a", &local(Some("2"))), Task::Leave, "its labels have changed");
        assert_eq!(task(&two, 5, "a", &local(Some("its own"))), Task::Nothing);
        assert_eq!(task(&two, 5, "a", &local(None)), Task::Nothing);
        let rolling = Local { rolling: Some("1".into()), ..local(Some("its own")) };
        assert_eq!(task(&two, 5, "a", &rolling), Task::Leave);
    }

    #[test]
    fn a_withdrawn_version_goes_where_it_serves() {
        let withdrawn = begun(None, "1", Wave::All).gone_back("a", "x", 2);
        assert_eq!(task(&withdrawn, 5, "a", &local(Some("1"))), Task::GoBack);
        assert_eq!(task(&withdrawn, 5, "a", &local(Some("0"))), Task::Nothing);
        assert_eq!(task(&withdrawn, 5, "a", &local(None)), Task::Nothing);
    }

    #[test]
    fn a_rollout_of_another_version_on_the_host_ends() {
        let rolling = Local { rolling: Some("2".into()), ..local(Some("1")) };
        let two = begun(Some(&begun(None, "1", Wave::All)), "2", Wave::All);
        assert_eq!(task(&two, 5, "a", &rolling), Task::Nothing, "it is on its way");
        assert_eq!(task(&two.gone_back("a", "x", 2), 6, "a", &rolling), Task::GoBack);
        assert_eq!(task(&begun(Some(&two), "3", Wave::All), 6, "a", &rolling), Task::GoBack);
        let withdrawn = begun(None, "2", Wave::All).gone_back("a", "x", 2);
        assert_eq!(task(&withdrawn, 6, "a", &rolling), Task::GoBack);
    }
}
