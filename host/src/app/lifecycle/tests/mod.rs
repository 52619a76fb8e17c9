//! The state machine, example by example.

mod model;

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A start that only a call has asked for.
fn plain(number: Number) -> Effect {
    Effect::Start(number, Start::default())
}

/// A start after a change of the library, noticed at the very beginning.
fn changed(number: Number) -> Effect {
    Effect::Start(number, Start { noticed: Some(at(0)), ..Start::default() })
}

fn serve(number: Number, replaces: Option<Number>) -> [Effect; 2] {
    [Effect::Serve { number, replaces, relieves_heap: false }, Effect::Admit]
}

fn reload(number: Number, before: Number) -> Vec<Effect> {
    [&serve(number, Some(before))[..], &[Effect::Retire(before)]].concat()
}

fn take_down(number: Number) -> [Effect; 2] {
    [Effect::Withdraw, Effect::Retire(number)]
}

fn failed(number: Number) -> Effect {
    Effect::Report(Report::Failed(number, "it fails".to_owned()))
}

fn not_ready(number: Number, cause: Cause) -> Event {
    Event::NotReady(number, cause, "it fails".to_owned())
}

fn exited(number: Number) -> Event {
    Event::Exited(number, "it exits".to_owned())
}

/// What follows on a crash of the serving generation, without the answer to it.
fn crash(number: Number) -> Vec<Effect> {
    let report = Effect::Report(Report::Crashed(number, "it exits".to_owned()));
    [&[report][..], &take_down(number)].concat()
}

fn change() -> Event {
    Event::LibraryChanged(at(0))
}

fn cold() -> Lifecycle {
    Lifecycle::new(Policy::default())
}

fn serving(number: Number) -> Lifecycle {
    let mut app = cold();
    for _ in 0..number {
        let event = if app.phase() == Phase::Cold { Event::Wanted } else { change() };
        app.on(event, at(0));
        app.on(Event::Ready(app.starting().unwrap()), at(0));
    }
    app
}

fn with(policy: Policy) -> Lifecycle {
    let mut app = Lifecycle::new(policy);
    app.on(Event::Wanted, at(0));
    app.on(Event::Ready(1), at(0));
    app
}

#[test]
fn the_first_call_starts_the_app_once() {
    let mut app = cold();
    assert_eq!(app.on(Event::Registered, at(0)), [Effect::Prepare]);
    assert_eq!(app.on(Event::Wanted, at(0)), [plain(1)]);
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    assert_eq!(app.on(Event::Ready(1), at(0)), serve(1, None));
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Admit]);
}

#[test]
fn a_change_starts_the_next_generation_before_the_old_one_goes() {
    let mut app = serving(1);
    assert_eq!(app.on(change(), at(0)), [changed(2)]);
    assert_eq!(app.serving(), Some(1));
    assert_eq!(app.on(Event::Ready(2), at(0)), reload(2, 1));
}

#[test]
fn an_environment_that_may_be_another_starts_a_generation_where_one_serves() {
    let change = || Event::EnvironmentChanged(at(0));
    let mut app = cold();
    assert_eq!(app.on(change(), at(0)), []);
    app.on(Event::Wanted, at(0));
    app.on(not_ready(1, Cause::Unusable), at(0));
    assert_eq!((app.phase(), app.on(change(), at(0))), (Phase::Failed, vec![]));
    assert_eq!(app.phase(), Phase::Cold);

    let mut app = serving(1);
    assert_eq!(app.on(change(), at(0)), [changed(2)]);
    let unchanged = [Effect::Report(Report::Unchanged)];
    assert_eq!(app.on(not_ready(2, Cause::Unchanged), at(0)), unchanged);
    assert_eq!(app.serving(), Some(1));
}

#[test]
fn many_changes_during_a_start_start_one_more_generation() {
    let mut app = serving(1);
    app.on(change(), at(0));
    for _ in 0..50 {
        assert_eq!(app.on(change(), at(0)), []);
    }
    assert_eq!(app.on(Event::Ready(2), at(0)), [reload(2, 1), vec![changed(3)]].concat());
}

#[test]
fn a_bad_library_changes_nothing_for_what_serves() {
    let mut app = serving(1);
    app.on(change(), at(0));
    assert_eq!(app.on(not_ready(2, Cause::Unusable), at(0)), [failed(2)]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(1)));
}

#[test]
fn an_unusable_library_waits_for_another_one() {
    let mut app = cold();
    app.on(Event::Wanted, at(0));
    assert_eq!(app.on(not_ready(1, Cause::Unusable), at(0)), [failed(1), Effect::Refuse]);
    assert_eq!(app.unavailable(at(0)), Unavailable::Unusable("it fails".to_owned()));
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(change(), at(0)), [Effect::Prepare]);
    assert_eq!(app.on(Event::Wanted, at(1)), [changed(2)]);
    // The compiler has reported a crate that does not compile.
    assert_eq!(app.on(not_ready(2, Cause::Build), at(1)), [Effect::Refuse]);
    assert_eq!(app.on(Event::StartRequested, at(1)), [plain(3)]);
}

#[test]
fn crashes_are_answered_at_once_then_after_pauses_then_not() {
    let mut app = serving(1);
    assert_eq!(app.on(exited(1), at(1)), [crash(1), vec![plain(2)]].concat());
    app.on(Event::Ready(2), at(1));
    for (number, pause) in [(2, 100), (3, 200), (4, 400), (5, 800)] {
        assert_eq!(app.on(exited(number), at(2)), crash(number));
        assert_eq!((app.phase(), app.pause_until()), (Phase::Resting, Some(at(2) + millis(pause))));
        assert_eq!(app.on(Event::Wanted, at(2)), [Effect::Refuse]);
        let (reason, retry_after) = ("it exits".to_owned(), millis(pause));
        assert_eq!(app.unavailable(at(2)), Unavailable::Resting { reason, retry_after });
        assert_eq!(app.on(Event::PauseOver, at(3)), [plain(number + 1)]);
        app.on(Event::Ready(number + 1), at(3));
    }
    assert_eq!(app.on(exited(6), at(4)), crash(6));
    assert_eq!((app.phase(), app.pause_until()), (Phase::Failed, None));
    assert_eq!(app.on(Event::Wanted, at(400)), [Effect::Refuse]);
    app.on(change(), at(401));
    assert_eq!(app.on(Event::Wanted, at(401)), [changed(7)]);
}

#[test]
fn without_restarts_the_first_crash_is_the_last() {
    let mut app = with(Policy { max_restarts: 0, ..Policy::default() });
    assert_eq!(app.on(exited(1), at(1)), crash(1));
    assert_eq!(app.phase(), Phase::Failed);
}

#[test]
fn crashes_outside_of_the_window_do_not_count() {
    let mut app = serving(1);
    for number in 1..20 {
        let effects = app.on(exited(number), at(number * 100));
        assert!(effects.contains(&plain(number + 1)), "{effects:?}");
        app.on(Event::Ready(number + 1), at(number * 100));
        app.on(Event::Gone(number), at(number * 100));
    }
}

#[test]
fn a_start_that_fails_answers_those_that_wait() {
    let mut app = cold();
    app.on(Event::Wanted, at(0));
    assert_eq!(app.on(not_ready(1, Cause::Failed), at(0)), [failed(1), Effect::Refuse]);
    assert_eq!(app.pause_until(), Some(millis(100)));
}

#[test]
fn a_generation_that_exits_before_it_is_ready_does_not_serve() {
    let failed = |number| Effect::Report(Report::Failed(number, "it exits".to_owned()));
    let mut app = serving(1);
    app.on(change(), at(0));
    assert_eq!(app.on(exited(2), at(0)), []);
    assert_eq!(app.on(Event::Ready(2), at(0)), [failed(2), Effect::Retire(2)]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(1)));

    let mut app = cold();
    app.on(Event::Wanted, at(0));
    app.on(exited(1), at(0));
    assert_eq!(app.on(Event::Ready(1), at(0)), [failed(1), Effect::Retire(1), Effect::Refuse]);
    assert_eq!(app.pause_until(), Some(millis(100)));
    assert_eq!(app.on(Event::PauseOver, at(1)), [plain(2)]);
    assert_eq!(app.on(Event::Ready(2), at(1)), serve(2, None));
}

#[test]
fn closing_during_a_reload_takes_both_generations_down() {
    let mut app = serving(1);
    app.on(change(), at(0));
    assert_eq!(app.on(Event::Closed, at(0)), [Effect::Refuse, Effect::Withdraw, Effect::Retire(1)]);
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Retire(2)]);
    assert_eq!(app.on(Event::Gone(1), at(0)), []);
    assert_eq!(app.on(Event::Gone(2), at(0)), [Effect::Finish]);
}

#[test]
fn an_app_that_is_stopped_goes_and_comes_back_for_the_next_call() {
    let mut app = serving(1);
    assert_eq!(app.on(Event::StopRequested, at(0)), [Effect::Refuse, Effect::Withdraw, Effect::Retire(1)]);
    assert_eq!(app.phase(), Phase::Cold);
    assert_eq!(app.on(Event::Gone(1), at(0)), [Effect::StopDone]);
    assert_eq!(app.on(Event::Wanted, at(0)), [plain(2)]);
    assert_eq!(app.on(Event::StopRequested, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Retire(2)]);
    assert_eq!(app.on(Event::Wanted, at(0)), [plain(3)]);
    // Stopped, and wanted again before it has started.
    app.on(Event::StopRequested, at(0));
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    assert_eq!(app.on(Event::Ready(3), at(0)), serve(3, None));
    assert_eq!(app.on(Event::Gone(2), at(0)), [Effect::StopDone]);
}

#[test]
fn an_app_that_stands_by_starts_when_it_may() {
    let mut app = serving(1);
    assert_eq!(app.on(Event::StandBy, at(0)), [&[Effect::Refuse][..], &take_down(1)].concat());
    assert_eq!((app.phase(), app.unavailable(at(0))), (Phase::Standby, Unavailable::StandsBy));
    for event in [Event::Wanted, change(), Event::StartRequested, Event::StopRequested, Event::Pinned(0)] {
        app.on(event.clone(), at(1));
        assert_eq!((app.phase(), app.starting()), (Phase::Standby, None), "{event:?}");
    }
    let refused = app.on(Event::ReloadRequested(None), at(1));
    assert_eq!(refused, [Effect::ReloadDone(Err(Unavailable::StandsBy.to_string()))]);
    assert_eq!(app.on(Event::Gone(1), at(1)), [Effect::StopDone]);
    // It is two things to be disabled and to stand by.
    app.on(Event::Disabled, at(2));
    app.on(Event::Freed, at(2));
    assert_eq!(app.phase(), Phase::Disabled);
    app.on(Event::StandBy, at(2));
    app.on(Event::Enabled, at(2));
    assert_eq!(app.phase(), Phase::Standby);

    assert_eq!(app.on(Event::Freed, at(3)), [Effect::Prepare]);
    app.on(Event::StartRequested, at(3));
    assert_eq!((app.phase(), app.starting()), (Phase::Starting, Some(2)));
    // One that starts is not used.
    app.on(Event::StandBy, at(4));
    assert_eq!(app.on(Event::Ready(2), at(4)), [Effect::Retire(2)]);
    assert_eq!((app.phase(), app.serving()), (Phase::Standby, None));
}

#[test]
fn an_app_that_is_disabled_stays_down_until_it_is_enabled() {
    let mut app = serving(1);
    app.on(Event::Disabled, at(0));
    for event in [Event::Wanted, change(), Event::StopRequested, Event::Gone(1), Event::PauseOver] {
        app.on(event, at(0));
        assert_eq!((app.phase(), app.starting()), (Phase::Disabled, None));
    }
    let refused = app.on(Event::ReloadRequested(None), at(0));
    assert_eq!(refused, [Effect::ReloadDone(Err(Unavailable::Disabled.to_string()))]);
    assert_eq!(app.on(Event::Enabled, at(0)), []);
    assert_eq!(app.on(Event::Wanted, at(0)), [changed(2)]);
}

#[test]
fn an_app_that_is_preloaded_needs_no_call() {
    let mut app = Lifecycle::new(Policy { preload: true, ..Policy::default() });
    assert_eq!(app.on(Event::Registered, at(0)), [plain(1)]);
    app.on(not_ready(1, Cause::Unusable), at(0));
    assert_eq!(app.on(change(), at(0)), [changed(2)], "there is another library");
    app.on(Event::Disabled, at(0));
    app.on(Event::Ready(2), at(0));
    assert_eq!(app.on(Event::Enabled, at(0)), [plain(3)]);
    app.on(Event::Ready(3), at(0));
    app.on(Event::StopRequested, at(0));
    assert_eq!((app.phase(), app.starting()), (Phase::Cold, None), "it was stopped on purpose");
}

#[test]
fn an_unchanged_library_is_started_when_what_served_has_crashed_meanwhile() {
    let mut app = serving(1);
    app.on(change(), at(0));
    assert_eq!(app.on(exited(1), at(0)), crash(1));
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    // It was compared with the one that served when it was begun.
    let unchanged = Effect::Report(Report::Unchanged);
    assert_eq!(app.on(not_ready(2, Cause::Unchanged), at(0)), [unchanged, plain(3)]);
    assert_eq!(app.on(Event::Ready(3), at(0)), serve(3, None));
}

#[test]
fn faults_of_the_machine_are_tried_again_without_end_and_are_no_crashes() {
    let mut app = cold();
    app.on(Event::Wanted, at(0));
    for (number, pause) in (1..).zip([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]) {
        assert_eq!(app.on(not_ready(number, Cause::Machine), at(0)), [failed(number), Effect::Refuse]);
        assert_eq!((app.phase(), app.pause_until()), (Phase::Resting, Some(millis(pause))));
        assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
        assert_eq!(app.on(Event::PauseOver, at(0)), [plain(number + 1)]);
    }
    assert_eq!(app.on(Event::Ready(11), at(0)), serve(11, None));
    // It has no crash behind it: the first one is answered at once.
    assert_eq!(app.on(exited(11), at(0)), [crash(11), vec![plain(12)]].concat());
}

#[test]
fn a_reload_that_the_machine_has_no_room_for_is_tried_again() {
    let mut app = serving(1);
    assert_eq!(app.on(change(), at(0)), [changed(2)]);
    assert_eq!(app.on(not_ready(2, Cause::Machine), at(0)), [failed(2)]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(1)));
    assert_eq!(app.pause_until(), Some(millis(100)));
    // As it was asked for the first time.
    assert_eq!(app.on(Event::PauseOver, at(0)), [changed(3)]);
    assert_eq!(app.on(Event::PauseOver, at(0)), []);
}

#[test]
fn a_pause_ends_with_what_made_it_needless() {
    for event in [change(), exited(1), Event::Idle(1), Event::StopRequested, Event::Disabled, Event::Closed] {
        let mut app = serving(1);
        app.on(change(), at(0));
        app.on(not_ready(2, Cause::Machine), at(0));
        assert_eq!(app.pause_until(), Some(millis(100)));
        app.on(event.clone(), at(0));
        assert_eq!(app.pause_until(), None, "{event:?}");
    }
}

#[test]
fn a_generation_on_hold_resumes_when_the_next_one_does_not_start() {
    let mut app = serving(1);
    assert_eq!(app.on(Event::HandOver, at(0)), [], "nothing is starting that would take the state");
    app.on(change(), at(0));
    assert_eq!(app.on(Event::HandOver, at(0)), [Effect::Hold(1)]);
    assert_eq!(app.on(Event::Wanted, at(0)), [], "calls wait");
    assert_eq!(app.on(not_ready(2, Cause::Failed), at(0)), [Effect::Resume(1), Effect::Admit, failed(2)]);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Admit]);

    // A hold ends with the generation, too.
    app.on(change(), at(0));
    app.on(Event::HandOver, at(0));
    assert_eq!(app.on(Event::Idle(1), at(0)), take_down(1), "it makes way");
    assert_eq!(app.phase(), Phase::Starting);
    assert_eq!(app.on(not_ready(3, Cause::Failed), at(0)), [failed(3), Effect::Refuse]);
}

#[test]
fn an_update_starts_a_generation_only_for_what_has_changed() {
    let mut app = serving(1);
    let unforced = |number| Effect::Start(number, Start { noticed: Some(at(7)), ..Start::default() });
    assert_eq!(app.on(Event::UpdateRequested, at(7)), [unforced(2)]);
    let unchanged = [Effect::Report(Report::Unchanged), Effect::ReloadDone(Ok(1))];
    assert_eq!(app.on(not_ready(2, Cause::Unchanged), at(7)), unchanged, "the one that serves is the answer");

    // A change that was noticed before is brought by the generation that starts.
    assert_eq!(app.on(change(), at(7)), [changed(3)]);
    assert_eq!(app.on(Event::UpdateRequested, at(7)), []);
    assert_eq!(app.on(Event::Ready(3), at(7)), [reload(3, 1), vec![unforced(4)]].concat());
    let unchanged = [Effect::Report(Report::Unchanged), Effect::ReloadDone(Ok(3))];
    assert_eq!(app.on(not_ready(4, Cause::Unchanged), at(7)), unchanged);

    app.on(Event::UpdateRequested, at(8));
    let failed = app.on(not_ready(5, Cause::Unusable), at(8));
    assert!(matches!(failed.last(), Some(Effect::ReloadDone(Err(_)))), "{failed:?}");

    let mut app = cold();
    app.on(Event::UpdateRequested, at(7));
    assert_eq!(app.on(Event::Ready(1), at(7)).last(), Some(&Effect::ReloadDone(Ok(1))));
}

#[test]
fn a_reload_is_answered_with_the_generation_that_it_asked_for() {
    let mut app = serving(1);
    let forced = Start { noticed: Some(at(7)), is_forced: true, ..Start::default() };
    app.on(change(), at(7));
    assert_eq!(app.on(Event::ReloadRequested(None), at(7)), []);
    // The one that was begun before is no answer.
    let next = Effect::Start(3, forced);
    assert_eq!(app.on(Event::Ready(2), at(7)), [reload(2, 1), vec![next]].concat());
    assert_eq!(app.on(Event::Ready(3), at(7)), [reload(3, 2), vec![Effect::ReloadDone(Ok(3))]].concat());

    let failure = || Effect::ReloadDone(Err("it fails".to_owned()));
    app.on(Event::ReloadRequested(None), at(7));
    assert_eq!(app.on(not_ready(4, Cause::Unusable), at(7)), [failed(4), failure()]);

    let stopped = Effect::ReloadDone(Err("the app was stopped".to_owned()));
    app.on(Event::ReloadRequested(None), at(7));
    let effects = app.on(Event::StopRequested, at(7));
    assert_eq!(effects, [&[Effect::Refuse][..], &take_down(3), &[stopped]].concat());
    assert_eq!(app.on(Event::Ready(5), at(7)), [Effect::Retire(5)]);

    assert_eq!(
        app.on(Event::ReloadRequested(None), at(7)),
        [Effect::Start(6, forced)],
        "it also starts the app"
    );
    assert_eq!(app.on(not_ready(6, Cause::Failed), at(7)), [failed(6), failure(), Effect::Refuse]);
}

#[test]
fn a_generation_that_relieves_the_heap_is_left_alone() {
    let mut app = serving(1);
    let start = Start { noticed: Some(at(9)), is_forced: true, relieves_heap: true, ..Start::default() };
    assert_eq!(app.on(Event::HeapExceeded(1), at(9)), [Effect::Start(2, start)]);
    let effects = app.on(Event::Ready(2), at(9));
    assert_eq!(effects.first(), Some(&Effect::Serve { number: 2, replaces: Some(1), relieves_heap: true }));
    app.on(change(), at(9));
    assert_eq!(app.on(Event::HeapExceeded(2), at(9)), [], "another one is starting already");
    assert_eq!(app.on(Event::Ready(3), at(9)), reload(3, 2));
}

#[test]
fn with_too_many_pinned_nothing_is_started() {
    let limit = Policy::default().max_pinned;
    let failure = Failure::Blocked { pinned: limit + 1, limit }.to_string();
    let report = || Effect::Report(Report::Blocked(failure.clone()));
    let mut app = serving(1);
    assert_eq!(app.on(Event::Pinned(limit), at(0)), []);
    assert_eq!(app.on(change(), at(0)), [changed(2)], "so many may be");
    app.on(Event::Ready(2), at(0));

    app.on(Event::Pinned(limit + 1), at(0));
    assert_eq!(app.on(change(), at(0)), [report()]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(2)), "what serves continues");
    let answer = Effect::ReloadDone(Err(failure.clone()));
    assert_eq!(app.on(Event::ReloadRequested(None), at(0)), [report(), answer]);
    let effects = app.on(Event::Pinned(limit), at(0));
    assert!(matches!(effects[..], [Effect::Start(3, _)]), "the change is not lost: {effects:?}");
    app.on(Event::Ready(3), at(0));

    app.on(Event::Pinned(limit + 1), at(0));
    assert_eq!(app.on(exited(3), at(0)), [crash(3), vec![report(), Effect::Refuse]].concat());
    assert_eq!(
        (app.phase(), app.unavailable(at(0))),
        (Phase::Blocked, Unavailable::Blocked(failure.clone()))
    );
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(change(), at(0)), []);
    let raised = Policy { max_pinned: limit + 1, ..Policy::default() };
    assert_eq!(app.on(Event::Configured(raised), at(0)), [Effect::Prepare]);
    let effects = app.on(Event::Wanted, at(0));
    assert!(matches!(effects[..], [Effect::Start(4, _)]), "{effects:?}");
}

#[test]
fn with_many_that_drain_the_next_one_waits() {
    let postponed = || Effect::Report(Report::Postponed(2));
    let mut app = with(Policy { max_draining: 2, ..Policy::default() });
    for number in 2..=3 {
        assert_eq!(app.on(change(), at(0)), [changed(number)], "so many may drain");
        app.on(Event::Ready(number), at(0));
    }
    assert_eq!(app.on(change(), at(0)), [postponed()]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(3)), "what serves continues");
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Admit]);
    assert_eq!(app.on(Event::Gone(1), at(0)), [changed(4)], "the change is not lost");
    assert_eq!(app.on(Event::Ready(4), at(0)), reload(4, 3));

    // Calls wait where nothing serves.
    assert_eq!(app.on(Event::StopRequested, at(0)), [&[Effect::Refuse][..], &take_down(4)].concat());
    let postponed = |count| Effect::Report(Report::Postponed(count));
    assert_eq!(app.on(Event::Wanted, at(0)), [postponed(3)]);
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    assert_eq!(app.phase(), Phase::Starting);
    assert_eq!(app.on(Event::Gone(2), at(0)), [postponed(2)], "two are left");
    assert_eq!(app.on(Event::Gone(4), at(0)), [plain(5)]);
    // What is stopped meanwhile is not started.
    app.on(Event::Ready(5), at(0));
    app.on(change(), at(0));
    app.on(Event::Ready(6), at(0));
    app.on(Event::StopRequested, at(0));
    assert_eq!(app.on(Event::Wanted, at(0)), [postponed(3)]);
    app.on(Event::StopRequested, at(0));
    for number in [3, 5] {
        assert_eq!(app.on(Event::Gone(number), at(0)), []);
    }
    assert_eq!(app.on(Event::Gone(6), at(0)), [Effect::StopDone]);
    assert_eq!((app.phase(), app.starting()), (Phase::Cold, None));
}

#[test]
fn a_reload_that_is_postponed_comes_even_if_the_app_becomes_idle() {
    let mut app = with(Policy { max_draining: 1, ..Policy::default() });
    app.on(change(), at(0));
    app.on(Event::Ready(2), at(0));
    assert_eq!(app.on(Event::ReloadRequested(None), at(0)), [Effect::Report(Report::Postponed(1))]);
    assert_eq!(app.on(Event::Idle(2), at(0)), take_down(2));
    app.on(Event::Gone(1), at(0));
    let effects = app.on(Event::Gone(2), at(0));
    assert!(matches!(effects[..], [Effect::Start(3, _)]), "{effects:?}");
    let expected = [&serve(3, None)[..], &[Effect::ReloadDone(Ok(3))]].concat();
    assert_eq!(app.on(Event::Ready(3), at(0)), expected);
}

#[test]
fn an_app_that_ended_the_host_waits_until_it_is_enabled_or_has_another_library() {
    let faulted = || {
        let mut app = Lifecycle::new(Policy { preload: true, ..Policy::default() });
        assert_eq!(app.on(Event::Faulted("it ended the host".to_owned()), at(0)), [Effect::Refuse]);
        assert_eq!(app.on(Event::Registered, at(0)), []);
        app
    };
    let mut app = faulted();
    assert_eq!((app.phase(), app.is_faulted()), (Phase::Disabled, true));
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(Event::StartRequested, at(0)), [Effect::Refuse]);
    let Unavailable::Faulted(reason) = app.unavailable(at(0)) else { panic!("{:?}", app.unavailable(at(0))) };
    assert!(reason.contains("it ended the host") && reason.contains("atoll enable"), "{reason}");
    let refused = Effect::ReloadDone(Err(reason));
    assert_eq!(app.on(Event::ReloadRequested(None), at(0)), [refused]);
    assert_eq!(app.on(Event::Configured(Policy::default()), at(0)), []);
    app.on(Event::StopRequested, at(0));
    assert!(app.is_faulted(), "an app that has stopped stays so");

    let mut app = faulted();
    let effects = app.on(Event::Enabled, at(0));
    assert!(matches!(effects[..], [Effect::Start(1, _)]), "{effects:?}");
    assert!(!app.is_faulted());

    let mut app = faulted();
    let effects = app.on(change(), at(0));
    assert!(matches!(effects[..], [Effect::Start(1, _)]), "{effects:?}");
    assert!(!app.is_faulted());

    // What a user disables, no library enables.
    let mut app = faulted();
    app.on(Event::Disabled, at(0));
    app.on(change(), at(0));
    assert_eq!((app.phase(), app.is_faulted()), (Phase::Disabled, false));
    assert_eq!(app.unavailable(at(0)), Unavailable::Disabled);
}
