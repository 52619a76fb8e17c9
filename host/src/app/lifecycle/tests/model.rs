//! The state machine against a model of the world around it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// The default one, with fewer that may drain.
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy { max_draining: 3, ..Policy::default() });

/// The world as the supervisor sees it: the effects, and those that wait for an answer.
#[derive(Default)]
struct World {
    starting: Option<Number>,
    /// Whether a change came after the generation was begun that serves or starts.
    outdated: bool,
    loaded: BTreeSet<Number>,
    retiring: BTreeSet<Number>,
    serving: Option<Number>,
    /// The serving generation is on hold.
    held: bool,
    calls: usize,
    reloads: usize,
    stops: usize,
    /// The generation whose start is to come after the last reload was asked for.
    reload_from: Number,
    finished: bool,
    closed: bool,
    stands_by: bool,
    pinned: usize,
    highest: Number,
}

impl World {
    /// Whether the next start waits until fewer generations drain.
    fn is_postponed(&self) -> bool {
        self.outdated && self.retiring.len() >= POLICY.max_draining
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(!self.finished, "an effect after the end: {effect:?}");
            match effect {
                Effect::Start(number, start) => {
                    assert!(!self.closed, "a generation is started after the end was asked for");
                    assert!(!self.stands_by, "a generation is started of an app that stands by");
                    assert_eq!(self.starting.replace(number), None, "two generations start at once");
                    assert!(number > self.highest, "numbers grow");
                    assert!(self.pinned <= POLICY.max_pinned, "too many are pinned");
                    assert!(self.retiring.len() < POLICY.max_draining, "too many drain");
                    let is_reload = self.reloads > 0 && number == self.reload_from;
                    assert!(start.is_forced || !is_reload, "a reload was asked for");
                    self.highest = number;
                    self.outdated = false;
                }
                Effect::Serve { number, replaces, .. } => {
                    assert!(!self.stands_by, "an app that stands by serves");
                    assert!(self.loaded.contains(&number) && !self.retiring.contains(&number));
                    assert_eq!(replaces, self.serving);
                    self.serving = Some(number);
                    self.held = false;
                }
                Effect::Hold(number) => {
                    assert_eq!((self.serving, self.held), (Some(number), false));
                    self.held = true;
                }
                Effect::Resume(number) => {
                    assert_eq!((self.serving, self.held), (Some(number), true));
                    self.held = false;
                }
                Effect::Withdraw => {
                    self.serving = None;
                    self.held = false;
                }
                Effect::Retire(number) => {
                    assert!(self.loaded.contains(&number), "only what is loaded is retired");
                    assert_ne!(self.serving, Some(number), "what is retired gets no new requests");
                    assert!(self.retiring.insert(number), "a generation is retired once");
                }
                Effect::Admit => {
                    assert!(self.serving.is_some() && !self.held, "calls are let in where nothing serves");
                    self.calls = 0;
                }
                Effect::Refuse => self.calls = 0,
                Effect::ReloadDone(answer) => {
                    assert!(self.reloads > 0, "nobody has asked for a reload");
                    if let Ok(number) = answer {
                        assert_eq!(self.serving, Some(number));
                        assert!(
                            number >= self.reload_from,
                            "{number} was begun before the reload was asked for"
                        );
                    }
                    self.reloads = 0;
                }
                Effect::StopDone => {
                    assert!(self.stops > 0, "nobody has asked it to stop");
                    assert!(self.retiring.is_empty() && self.starting.is_none());
                    self.stops = 0;
                }
                Effect::Report(Report::Blocked(_)) => {
                    assert!(self.pinned > POLICY.max_pinned);
                    // The start that comes later has the library as it is then.
                    self.outdated |= self.serving.is_some();
                }
                Effect::Report(Report::Postponed(count)) => {
                    assert_eq!(count, self.retiring.len());
                    assert!(count >= POLICY.max_draining);
                    self.outdated |= self.serving.is_some();
                }
                Effect::Report(_) | Effect::Prepare => {}
                Effect::Finish => {
                    assert!(self.closed && self.loaded.is_empty() && self.starting.is_none());
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
    EnvironmentChange,
    Reload,
    Grow,
    HandOver,
    StartEnds(Option<Cause>),
    /// The generation that starts is of the library before.
    Restore,
    Crash(usize),
    /// A worker of the generation that is coming ends.
    CrashEarly,
    Idle,
    Stop,
    Disable,
    Enable,
    StandBy,
    Free,
    Unload(usize),
    /// So many generations are pinned.
    Pin(usize),
    PauseEnds,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Call),
        4 => Just(Step::Change),
        2 => Just(Step::EnvironmentChange),
        3 => Just(Step::Reload),
        1 => Just(Step::Grow),
        2 => Just(Step::HandOver),
        6 => Just(Step::StartEnds(None)),
        1 => Just(Step::StartEnds(Some(Cause::Failed))),
        1 => Just(Step::StartEnds(Some(Cause::Unusable))),
        1 => Just(Step::StartEnds(Some(Cause::Unchanged))),
        2 => Just(Step::StartEnds(Some(Cause::Machine))),
        1 => Just(Step::Restore),
        2 => (0..8_usize).prop_map(Step::Pin),
        2 => any::<usize>().prop_map(Step::Crash),
        1 => Just(Step::CrashEarly),
        1 => Just(Step::Idle),
        1 => Just(Step::Stop),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
        1 => Just(Step::StandBy),
        2 => Just(Step::Free),
        4 => any::<usize>().prop_map(Step::Unload),
        2 => Just(Step::PauseEnds),
        1 => Just(Step::Close),
    ]
}

fn pick(set: &BTreeSet<Number>, index: usize) -> Option<Number> {
    set.iter().nth(index.checked_rem(set.len())?).copied()
}

fn run(app: &mut Lifecycle, world: &mut World, step: Step, now: Duration) {
    let event = match step {
        Step::Call => {
            world.calls += usize::from(!world.finished);
            Some(Event::Wanted)
        }
        Step::Change => {
            world.outdated = true;
            Some(Event::LibraryChanged(now))
        }
        Step::EnvironmentChange => {
            world.outdated = true;
            Some(Event::EnvironmentChanged(now))
        }
        Step::Reload => {
            world.reloads += usize::from(!world.finished);
            world.reload_from = world.highest + 1;
            world.outdated |= world.serving.is_some() && !world.closed;
            Some(Event::ReloadRequested(None))
        }
        Step::Grow => world.serving.map(Event::HeapExceeded),
        Step::HandOver => Some(Event::HandOver),
        Step::StartEnds(result) => world.starting.take().map(|number| match result {
            None => {
                world.loaded.insert(number);
                Event::Ready(number)
            }
            Some(cause) => {
                // It is tried again.
                world.outdated |= cause == Cause::Machine && world.serving.is_some();
                Event::NotReady(number, cause, String::new())
            }
        }),
        Step::Restore => world.starting.take().map(|number| {
            world.loaded.insert(number);
            Event::Restored(number, String::new())
        }),
        Step::Crash(index) => pick(&world.loaded, index).map(exited),
        Step::CrashEarly => world.starting.map(exited),
        Step::Idle => world.serving.map(Event::Idle),
        Step::Stop => {
            world.stops += usize::from(!world.finished);
            Some(Event::StopRequested)
        }
        Step::Disable => {
            world.stops += usize::from(!world.finished);
            Some(Event::Disabled)
        }
        Step::Enable => Some(Event::Enabled),
        Step::StandBy => {
            world.stops += usize::from(!world.finished);
            world.stands_by = true;
            Some(Event::StandBy)
        }
        Step::Free => {
            world.stands_by = false;
            Some(Event::Freed)
        }
        Step::Unload(index) => pick(&world.retiring, index).map(|number| {
            world.retiring.remove(&number);
            world.loaded.remove(&number);
            Event::Gone(number)
        }),
        Step::Pin(count) => {
            world.pinned = count;
            Some(Event::Pinned(count))
        }
        Step::PauseEnds => app.pause_until().map(|_| Event::PauseOver),
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
    assert_eq!(app.starting(), world.starting);
    assert_eq!(app.phase() == Phase::Serving, world.serving.is_some());
    assert!(app.retiring().eq(world.retiring.iter().copied()));
    let is_waiting = app.starting().is_some() || app.phase() == Phase::Starting || world.is_postponed();
    assert!(world.reloads == 0 || is_waiting, "a reload waits for nothing");
    assert!(
        world.calls == 0 || app.starting().is_some() || app.phase() == Phase::Starting,
        "a call waits for nothing"
    );
    if app.pause_until().is_some() {
        assert!(matches!(app.phase(), Phase::Resting | Phase::Serving), "{}", app.phase());
        assert_eq!(app.starting(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_call_no_change_and_no_generation_is_lost(steps in prop::collection::vec(step(), 0..80)) {
        let mut app = Lifecycle::new(*POLICY);
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
            run(&mut app, &mut world, Step::PauseEnds, at(seconds));
            run(&mut app, &mut world, Step::StartEnds(None), at(seconds));
        }
        prop_assert_eq!(world.calls, 0, "a call was not answered");
        prop_assert_eq!(world.reloads, 0, "a reload was not answered");
        prop_assert!(!world.held, "a generation stays on hold");
        prop_assert!(world.serving.is_none() || !world.outdated, "a change was lost");

        run(&mut app, &mut world, Step::Close, at(2000));
        while let Some(&number) = world.retiring.first() {
            prop_assert!(!world.finished, "it is finished with {} loaded", number);
            run(&mut app, &mut world, Step::Unload(0), at(2000));
        }
        prop_assert_eq!(world.stops, 0, "someone still waits for the app to stop");
        prop_assert!(world.finished, "a generation is left: {:?}", world.loaded);
    }
}
