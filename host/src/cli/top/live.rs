//! A screen that is drawn again with each reading, until the user or a signal ends it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, bail};
use atoll_host::internal::admin::AdminError;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long it takes at most until a signal or a reading is seen.
const TICK: Duration = Duration::from_millis(100);

/// How far page up and page down go.
const PAGE: u16 = 10;

/// What is shown.
pub(super) trait View {
    /// What is read of the host.
    type Reading: Send + 'static;

    /// Takes a reading.
    fn update(&mut self, reading: Self::Reading);

    /// Handles a letter.
    fn key(&mut self, key: char);

    /// The table that the arrow keys scroll.
    fn scrolled(&mut self) -> &mut TableState;

    fn draw(&mut self, frame: &mut Frame<'_>);
}

/// What the reading thread reports: a reading, or its end.
type Report<T> = Result<T, Option<AdminError>>;

/// Shows what `read` hands over, on its thread, for as long as it gets [`ControlFlow::Continue`]. The terminal is then as it was
/// before.
pub(super) fn run<V: View>(
    mut view: V,
    read: impl FnOnce(&mut dyn FnMut(V::Reading) -> ControlFlow<()>) -> Result<(), AdminError> + Send + 'static,
) -> anyhow::Result<()> {
    let stop_signal = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop_signal.clone()).context("signals cannot be awaited")?;
    }
    let (sender, readings) = channel();
    thread::Builder::new().name("stats".to_owned()).spawn(move || {
        let ended = read(&mut |reading| match sender.send(Ok(reading)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_nobody_looks) => ControlFlow::Break(()),
        });
        // When nobody looks any more, nobody has to know.
        let _ = sender.send(Err(ended.err()));
    })?;
    // This restores it in a panic, too.
    let shown = ratatui::try_init()
        .context("cannot use the terminal")
        .and_then(|mut terminal| show(&mut view, &mut terminal, &readings, &stop_signal));
    ratatui::try_restore().context("cannot restore the terminal: type `reset`")?;
    shown
}

fn show<V: View>(
    view: &mut V,
    terminal: &mut DefaultTerminal,
    readings: &Receiver<Report<V::Reading>>,
    stop_signal: &AtomicBool,
) -> anyhow::Result<()> {
    let mut is_new = true;
    while !stop_signal.load(Ordering::Relaxed) {
        if is_new {
            terminal.draw(|frame| view.draw(frame))?;
        }
        is_new = false;
        if event::poll(TICK)? {
            is_new = true;
            if take(view, &event::read()?).is_break() {
                break;
            }
        }
        match readings.try_recv() {
            Ok(Ok(reading)) => {
                view.update(reading);
                is_new = true;
            }
            Ok(Err(Some(error))) => return Err(error.into()),
            Ok(Err(None)) | Err(TryRecvError::Disconnected) => bail!("the host has exited"),
            Err(TryRecvError::Empty) => {}
        }
    }
    Ok(())
}

/// Handles a key.
fn take<V: View>(view: &mut V, event: &Event) -> ControlFlow<()> {
    let Event::Key(KeyEvent { code, modifiers, .. }) = event else { return ControlFlow::Continue(()) };
    match code {
        KeyCode::Char('q') | KeyCode::Esc => return ControlFlow::Break(()),
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return ControlFlow::Break(()),
        KeyCode::Char(key) => view.key(*key),
        KeyCode::Down => view.scrolled().scroll_down_by(1),
        KeyCode::Up => view.scrolled().scroll_up_by(1),
        KeyCode::PageDown => view.scrolled().scroll_down_by(PAGE),
        KeyCode::PageUp => view.scrolled().scroll_up_by(PAGE),
        KeyCode::Home => view.scrolled().select_first(),
        KeyCode::End => view.scrolled().select_last(),
        _ => {}
    }
    ControlFlow::Continue(())
}

/// Whether the user wants no colours.
pub(super) fn is_plain() -> bool {
    anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never
}
