//! The state machine against a model of the world around it.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn serving(number: Number) -> Lifecycle {
    let mut app = Lifecycle::new(RestartPolicy::default());
    for _ in 0..number {
        let event = if app.phase() == Phase::Cold { Event::Wanted } else { Event::Changed };
        let effects = app.on(event, at(0));
        assert_eq!(effects, [Effect::Bring(app.coming().unwrap())]);
        app.on(Event::Ready(app.coming().unwrap()), at(0));
    }
    app
}

#[test]
fn the_first_call_starts_the_app_once() {
    let mut app = Lifecycle::new(RestartPolicy::default());
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Bring(1)]);
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    assert_eq!(app.on(Event::Ready(1), at(0)), [Effect::Serve(1)]);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Serve(1)]);
}

#[test]
fn a_change_brings_the_next_generation_before_the_old_one_goes() {
    let mut app = serving(1);
    assert_eq!(app.on(Event::Changed, at(0)), [Effect::Bring(2)]);
    assert_eq!(app.serving(), Some(1));
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Serve(2), Effect::Retire(1)]);
}

#[test]
fn many_changes_during_a_start_bring_one_more_generation() {
    let mut app = serving(1);
    app.on(Event::Changed, at(0));
    for _ in 0..50 {
        assert_eq!(app.on(Event::Changed, at(0)), []);
    }
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Serve(2), Effect::Retire(1), Effect::Bring(3)]);
}

#[test]
fn a_bad_library_changes_nothing_for_what_serves() {
    let mut app = serving(1);
    app.on(Event::Changed, at(0));
    assert_eq!(app.on(Event::NotReady(2, Cause::Unusable), at(0)), []);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(1)));
}

#[test]
fn an_unusable_library_waits_for_another_one() {
    let mut app = Lifecycle::new(RestartPolicy::default());
    app.on(Event::Wanted, at(0));
    assert_eq!(app.on(Event::NotReady(1, Cause::Unusable), at(0)), [Effect::Refuse]);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(Event::Changed, at(1)), []);
    assert_eq!(app.on(Event::Wanted, at(1)), [Effect::Bring(2)]);
}

#[test]
fn crashes_are_answered_at_once_then_after_pauses_then_not() {
    let mut app = serving(1);
    let withdraw = |n| vec![Effect::Withdraw, Effect::Retire(n)];
    assert_eq!(app.on(Event::Ended(1), at(1)), [withdraw(1), vec![Effect::Bring(2)]].concat());
    app.on(Event::Ready(2), at(1));
    for (number, millis) in [(2, 100), (3, 200), (4, 400), (5, 800)] {
        let pause = Effect::Rest(Duration::from_millis(millis));
        assert_eq!(app.on(Event::Ended(number), at(2)), [withdraw(number), vec![pause]].concat());
        assert_eq!(app.on(Event::Wanted, at(2)), [Effect::Refuse]);
        assert_eq!(app.on(Event::Rested, at(3)), [Effect::Bring(number + 1)]);
        app.on(Event::Ready(number + 1), at(3));
    }
    assert_eq!(app.on(Event::Ended(6), at(4)), withdraw(6));
    assert_eq!(app.phase(), Phase::Failed);
    assert_eq!(app.on(Event::Wanted, at(400)), [Effect::Refuse]);
    app.on(Event::Changed, at(401));
    assert_eq!(app.on(Event::Wanted, at(401)), [Effect::Bring(7)]);
}

#[test]
fn without_restarts_the_first_crash_is_the_last() {
    let mut app = serving(1);
    app.set_policy(RestartPolicy { max_restarts: 0, ..RestartPolicy::default() });
    assert_eq!(app.on(Event::Ended(1), at(1)), [Effect::Withdraw, Effect::Retire(1)]);
    assert_eq!(app.phase(), Phase::Failed);
}

#[test]
fn crashes_outside_of_the_window_do_not_count() {
    let mut app = serving(1);
    for number in 1..20 {
        let effects = app.on(Event::Ended(number), at(number * 100));
        assert!(effects.contains(&Effect::Bring(number + 1)), "{effects:?}");
        app.on(Event::Ready(number + 1), at(number * 100));
        app.on(Event::Retired(number), at(number * 100));
    }
}

#[test]
fn a_start_that_fails_answers_those_that_wait() {
    let mut app = Lifecycle::new(RestartPolicy::default());
    app.on(Event::Wanted, at(0));
    let effects = app.on(Event::NotReady(1, Cause::Failed), at(0));
    assert_eq!(effects, [Effect::Rest(Duration::from_millis(100)), Effect::Refuse]);
}

#[test]
fn a_generation_that_ends_before_it_is_ready_does_not_serve() {
    let mut app = serving(1);
    app.on(Event::Changed, at(0));
    assert_eq!(app.on(Event::Ended(2), at(0)), []);
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Retire(2)]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(1)));

    let mut app = Lifecycle::new(RestartPolicy::default());
    app.on(Event::Wanted, at(0));
    app.on(Event::Ended(1), at(0));
    let pause = Effect::Rest(Duration::from_millis(100));
    assert_eq!(app.on(Event::Ready(1), at(0)), [Effect::Retire(1), pause, Effect::Refuse]);
    assert_eq!(app.on(Event::Rested, at(1)), [Effect::Bring(2)]);
    assert_eq!(app.on(Event::Ready(2), at(1)), [Effect::Serve(2)]);
}

#[test]
fn closing_during_a_reload_takes_both_generations_down() {
    let mut app = serving(1);
    app.on(Event::Changed, at(0));
    assert_eq!(app.on(Event::Closed, at(0)), [Effect::Refuse, Effect::Withdraw, Effect::Retire(1)]);
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Retire(2)]);
    assert_eq!(app.on(Event::Retired(1), at(0)), []);
    assert_eq!(app.on(Event::Retired(2), at(0)), [Effect::Finish]);
}

#[test]
fn what_is_stopped_goes_and_comes_back_for_the_next_call() {
    let mut app = serving(1);
    assert_eq!(app.on(Event::Stopped, at(0)), [Effect::Refuse, Effect::Withdraw, Effect::Retire(1)]);
    assert_eq!(app.phase(), Phase::Cold);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Bring(2)]);
    assert_eq!(app.on(Event::Stopped, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(Event::Ready(2), at(0)), [Effect::Retire(2)]);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Bring(3)]);
    // Stopped, and wanted again before it has come.
    app.on(Event::Stopped, at(0));
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    assert_eq!(app.on(Event::Ready(3), at(0)), [Effect::Serve(3)]);
}

#[test]
fn what_is_disabled_stays_down_until_it_is_enabled() {
    let mut app = serving(1);
    app.on(Event::Disabled, at(0));
    for event in [Event::Wanted, Event::Changed, Event::Stopped, Event::Retired(1), Event::Rested] {
        assert!(!app.on(event, at(0)).contains(&Effect::Bring(2)));
        assert_eq!(app.phase(), Phase::Disabled);
    }
    app.on(Event::Enabled, at(0));
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Bring(2)]);
}

#[test]
fn an_unchanged_library_is_started_when_what_served_has_ended_meanwhile() {
    let mut app = serving(1);
    app.on(Event::Changed, at(0));
    assert_eq!(app.on(Event::Ended(1), at(0)), [Effect::Withdraw, Effect::Retire(1)]);
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    // It was compared with the one that served when it was begun.
    assert_eq!(app.on(Event::NotReady(2, Cause::Unchanged), at(0)), [Effect::Bring(3)]);
    assert_eq!(app.on(Event::Ready(3), at(0)), [Effect::Serve(3)]);
}

#[test]
fn faults_of_the_machine_are_tried_again_without_end_and_are_no_crashes() {
    let mut app = Lifecycle::new(RestartPolicy::default());
    app.on(Event::Wanted, at(0));
    for (number, millis) in (1..).zip([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]) {
        let rest = Effect::Rest(Duration::from_millis(millis));
        assert_eq!(app.on(Event::NotReady(number, Cause::Machine), at(0)), [rest, Effect::Refuse]);
        assert_eq!(app.phase(), Phase::Resting);
        assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
        assert_eq!(app.on(Event::Rested, at(0)), [Effect::Bring(number + 1)]);
    }
    assert_eq!(app.on(Event::Ready(11), at(0)), [Effect::Serve(11)]);
    // It has no crash behind it: the first one is answered at once.
    let effects = app.on(Event::Ended(11), at(0));
    assert_eq!(effects, [Effect::Withdraw, Effect::Retire(11), Effect::Bring(12)]);
}

#[test]
fn a_reload_that_the_machine_has_no_room_for_is_tried_again() {
    let mut app = serving(1);
    app.on(Event::Changed, at(0));
    let rest = Effect::Rest(Duration::from_millis(100));
    assert_eq!(app.on(Event::NotReady(2, Cause::Machine), at(0)), [rest]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(1)));
    assert_eq!(app.on(Event::Rested, at(0)), [Effect::Bring(3)]);
    assert_eq!(app.on(Event::Rested, at(0)), []);
}

#[test]
fn with_too_many_pinned_nothing_is_begun() {
    let blocked = [Effect::Block, Effect::Refuse];
    let limit = RestartPolicy::default().max_pinned;
    let mut app = serving(1);
    assert_eq!(app.on(Event::Pinned(limit), at(0)), []);
    assert_eq!(app.on(Event::Changed, at(0)), [Effect::Bring(2)], "so many may be");
    app.on(Event::Ready(2), at(0));

    app.on(Event::Pinned(limit + 1), at(0));
    assert_eq!(app.on(Event::Changed, at(0)), [Effect::Block]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(2)), "what serves goes on");
    assert_eq!(app.on(Event::Pinned(limit), at(0)), [Effect::Bring(3)], "the change is not lost");
    app.on(Event::Ready(3), at(0));

    app.on(Event::Pinned(limit + 1), at(0));
    let effects = app.on(Event::Ended(3), at(0));
    assert_eq!(effects, [&[Effect::Withdraw, Effect::Retire(3)], &blocked[..]].concat());
    assert_eq!(app.phase(), Phase::Blocked);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Refuse]);
    assert_eq!(app.on(Event::Changed, at(0)), []);
    // Another limit.
    app.set_policy(RestartPolicy { max_pinned: limit + 1, ..RestartPolicy::default() });
    app.on(Event::Changed, at(0));
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Bring(4)]);
}

#[test]
fn with_many_that_drain_the_next_one_waits() {
    let policy = RestartPolicy { max_draining: 2, ..RestartPolicy::default() };
    let mut app = Lifecycle::new(policy);
    app.on(Event::Wanted, at(0));
    app.on(Event::Ready(1), at(0));
    for number in 2..=3 {
        assert_eq!(app.on(Event::Changed, at(0)), [Effect::Bring(number)], "so many may drain");
        app.on(Event::Ready(number), at(0));
    }
    assert_eq!(app.on(Event::Changed, at(0)), [Effect::Postpone]);
    assert_eq!((app.phase(), app.serving()), (Phase::Serving, Some(3)), "what serves goes on");
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Serve(3)]);
    assert_eq!(app.on(Event::Retired(1), at(0)), [Effect::Bring(4)], "the change is not lost");
    assert_eq!(app.on(Event::Ready(4), at(0)), [Effect::Serve(4), Effect::Retire(3)]);

    // Calls wait where nothing serves.
    assert_eq!(app.on(Event::Stopped, at(0)), [Effect::Refuse, Effect::Withdraw, Effect::Retire(4)]);
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Postpone]);
    assert_eq!(app.on(Event::Wanted, at(0)), []);
    assert_eq!(app.phase(), Phase::Starting);
    assert_eq!(app.on(Event::Retired(2), at(0)), [Effect::Postpone], "two are left");
    assert_eq!(app.on(Event::Retired(4), at(0)), [Effect::Bring(5)]);
    // What is stopped meanwhile is not begun.
    app.on(Event::Ready(5), at(0));
    app.on(Event::Changed, at(0));
    app.on(Event::Ready(6), at(0));
    app.on(Event::Stopped, at(0));
    assert_eq!(app.on(Event::Wanted, at(0)), [Effect::Postpone]);
    app.on(Event::Stopped, at(0));
    assert_eq!(app.on(Event::Retired(3), at(0)), []);
    assert_eq!(app.on(Event::Retired(5), at(0)), []);
    assert_eq!((app.phase(), app.coming()), (Phase::Cold, None));
}

/// The default one, with fewer that may drain.
const POLICY: RestartPolicy = RestartPolicy {
    max_restarts: 5,
    window: Duration::from_secs(60),
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_secs(10),
    max_pinned: 4,
    max_draining: 3,
};

/// The world as the driver would see it: the effects, and the replies to callers.
#[derive(Default)]
struct World {
    bringing: Option<Number>,
    /// Whether a change came after the generation was begun that serves or comes.
    outdated: bool,
    loaded: BTreeSet<Number>,
    retiring: BTreeSet<Number>,
    serving: Option<Number>,
    waiting: usize,
    resting: bool,
    finished: bool,
    closed: bool,
    pinned: usize,
    highest: Number,
}

impl World {
    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(!self.finished, "an effect after the end: {effect:?}");
            match effect {
                Effect::Bring(number) => {
                    assert!(!self.closed, "a generation is begun after the end was asked for");
                    assert_eq!(self.bringing.replace(number), None, "two generations come at once");
                    assert!(number > self.highest, "numbers grow");
                    assert!(self.pinned <= POLICY.max_pinned, "too many are pinned");
                    assert!(self.retiring.len() < POLICY.max_draining, "too many drain");
                    self.highest = number;
                    self.outdated = false;
                }
                Effect::Serve(number) => {
                    assert!(self.loaded.contains(&number) && !self.retiring.contains(&number));
                    self.serving = Some(number);
                    self.waiting = 0;
                }
                Effect::Withdraw => self.serving = None,
                Effect::Retire(number) => {
                    assert!(self.loaded.contains(&number), "only what is loaded is retired");
                    assert_ne!(self.serving, Some(number), "what is retired gets no new requests");
                    assert!(self.retiring.insert(number), "a generation is retired once");
                }
                Effect::Refuse => self.waiting = 0,
                Effect::Rest(pause) => {
                    assert!(!pause.is_zero());
                    self.resting = true;
                }
                Effect::Block => {
                    assert!(self.pinned > POLICY.max_pinned);
                    // What is wanted again later brings the library as it is then.
                    self.outdated |= self.serving.is_some();
                }
                Effect::Postpone => {
                    assert!(self.retiring.len() >= POLICY.max_draining);
                    self.outdated |= self.serving.is_some();
                }
                Effect::Finish => {
                    assert!(self.closed && self.loaded.is_empty() && self.bringing.is_none());
                    self.finished = true;
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    Change,
    BringEnds(Option<Cause>),
    Crash(usize),
    /// A worker of the generation that is coming ends.
    CrashEarly,
    Idle,
    Stop,
    Disable,
    Enable,
    Unload(usize),
    /// So many generations are pinned.
    Pin(usize),
    Rest,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Call),
        4 => Just(Step::Change),
        6 => Just(Step::BringEnds(None)),
        1 => Just(Step::BringEnds(Some(Cause::Failed))),
        1 => Just(Step::BringEnds(Some(Cause::Unusable))),
        1 => Just(Step::BringEnds(Some(Cause::Unchanged))),
        2 => Just(Step::BringEnds(Some(Cause::Machine))),
        2 => (0..8_usize).prop_map(Step::Pin),
        2 => any::<usize>().prop_map(Step::Crash),
        1 => Just(Step::CrashEarly),
        1 => Just(Step::Idle),
        1 => Just(Step::Stop),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
        4 => any::<usize>().prop_map(Step::Unload),
        2 => Just(Step::Rest),
        1 => Just(Step::Close),
    ]
}

fn pick(set: &BTreeSet<Number>, index: usize) -> Option<Number> {
    set.iter().nth(index.checked_rem(set.len())?).copied()
}

fn run(app: &mut Lifecycle, world: &mut World, step: Step, now: Duration) {
    let event = match step {
        Step::Call => {
            world.waiting += usize::from(!world.finished);
            Some(Event::Wanted)
        }
        Step::Change => {
            world.outdated = true;
            Some(Event::Changed)
        }
        Step::BringEnds(result) => world.bringing.take().map(|number| match result {
            None => {
                world.loaded.insert(number);
                Event::Ready(number)
            }
            Some(cause) => {
                // It is tried again.
                world.outdated |= cause == Cause::Machine && world.serving.is_some();
                Event::NotReady(number, cause)
            }
        }),
        Step::Crash(index) => pick(&world.loaded, index).map(Event::Ended),
        Step::CrashEarly => world.bringing.map(Event::Ended),
        Step::Idle => world.serving.map(Event::Idle),
        Step::Stop => Some(Event::Stopped),
        Step::Disable => Some(Event::Disabled),
        Step::Enable => Some(Event::Enabled),
        Step::Unload(index) => pick(&world.retiring, index).map(|number| {
            world.retiring.remove(&number);
            world.loaded.remove(&number);
            Event::Retired(number)
        }),
        Step::Pin(count) => {
            world.pinned = count;
            Some(Event::Pinned(count))
        }
        Step::Rest => std::mem::take(&mut world.resting).then_some(Event::Rested),
        Step::Close => {
            world.closed = true;
            Some(Event::Closed)
        }
    };
    if let Some(event) = event
        && !world.finished
    {
        world.take(app.on(event, now));
    }
    assert_eq!(app.serving(), world.serving);
    assert_eq!(app.coming(), world.bringing);
    assert_eq!(app.phase() == Phase::Serving, world.serving.is_some());
    assert!(app.retiring().eq(world.retiring.iter().copied()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_call_no_change_and_no_generation_is_lost(steps in prop::collection::vec(step(), 0..80)) {
        let mut app = Lifecycle::new(POLICY);
        let mut world = World::default();
        for (seconds, step) in (0..).zip(steps) {
            run(&mut app, &mut world, step, at(seconds));
        }
        // What is under way ends well; nothing else happens.
        run(&mut app, &mut world, Step::Pin(0), at(999));
        for seconds in 1000..1010 {
            while !world.retiring.is_empty() {
                run(&mut app, &mut world, Step::Unload(0), at(seconds));
            }
            run(&mut app, &mut world, Step::Rest, at(seconds));
            run(&mut app, &mut world, Step::BringEnds(None), at(seconds));
        }
        prop_assert_eq!(world.waiting, 0, "a call was not answered");
        prop_assert!(world.serving.is_none() || !world.outdated, "a change was lost");

        run(&mut app, &mut world, Step::Close, at(2000));
        while let Some(&number) = world.retiring.first() {
            prop_assert!(!world.finished, "it is finished with {} loaded", number);
            run(&mut app, &mut world, Step::Unload(0), at(2000));
        }
        prop_assert!(world.finished, "a generation is left: {:?}", world.loaded);
    }
}
