//! The apps on the terminal, as they are second by second.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, bail};
use atoll_host::internal::admin::{AdminClient, AdminError, ProcessStatus, Stats};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table, TableState};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::super::table::Column;
use super::super::units;
use super::columns::{COLUMNS, Order, SortKey, cells};

/// How long it takes at most until a signal or a reading is seen.
const TICK: Duration = Duration::from_millis(100);

/// How far page up and page down go.
const PAGE: u16 = 10;

/// What the reading thread says.
type Said = Result<Stats, Option<AdminError>>;

/// Shows the apps until the user or a signal ends it. The terminal is then as it was before.
pub(super) fn run(mut host: AdminClient, order: Order) -> anyhow::Result<()> {
    let process = host.status()?.process;
    let stop_signal = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop_signal.clone()).context("signals cannot be awaited")?;
    }
    let (sender, readings) = channel();
    thread::Builder::new().name("stats".to_owned()).spawn(move || {
        let followed = host.follow_stats(|stats| match sender.send(Ok(stats)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_nobody_looks) => ControlFlow::Break(()),
        });
        // When nobody looks any more, nobody has to know.
        let _ = sender.send(Err(followed.err()));
    })?;
    let mut screen = Screen { process, order, stats: None, state: TableState::default() };
    // This restores it in a panic, too.
    let shown = ratatui::try_init()
        .context("cannot use the terminal")
        .and_then(|mut terminal| screen.show(&mut terminal, &readings, &stop_signal));
    ratatui::try_restore().context("cannot restore the terminal: type `reset`")?;
    shown
}

/// What is shown.
struct Screen {
    process: ProcessStatus,
    order: Order,
    stats: Option<Stats>,
    state: TableState,
}

impl Screen {
    fn show(
        &mut self,
        terminal: &mut DefaultTerminal,
        readings: &Receiver<Said>,
        stop_signal: &AtomicBool,
    ) -> anyhow::Result<()> {
        let mut is_new = true;
        while !stop_signal.load(Ordering::Relaxed) {
            if is_new {
                terminal.draw(|frame| self.draw(frame))?;
            }
            is_new = false;
            if event::poll(TICK)? {
                is_new = true;
                if self.take(&event::read()?).is_break() {
                    break;
                }
            }
            match readings.try_recv() {
                Ok(Ok(stats)) => {
                    self.stats = Some(stats);
                    self.sort();
                    is_new = true;
                }
                Ok(Err(Some(error))) => return Err(error.into()),
                Ok(Err(None)) | Err(TryRecvError::Disconnected) => bail!("the host has exited"),
                Err(TryRecvError::Empty) => {}
            }
        }
        Ok(())
    }

    fn sort(&mut self) {
        if let Some(stats) = &mut self.stats {
            self.order.sort(&mut stats.apps);
        }
    }

    /// Handles a key.
    fn take(&mut self, event: &Event) -> ControlFlow<()> {
        let Event::Key(KeyEvent { code, modifiers, .. }) = event else { return ControlFlow::Continue(()) };
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return ControlFlow::Break(()),
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return ControlFlow::Break(()),
            KeyCode::Char(key) => {
                if let Some(key) = SortKey::from_key(*key) {
                    self.order = self.order.asked_for(key);
                    self.sort();
                }
            }
            KeyCode::Down => self.state.scroll_down_by(1),
            KeyCode::Up => self.state.scroll_up_by(1),
            KeyCode::PageDown => self.state.scroll_down_by(PAGE),
            KeyCode::PageUp => self.state.scroll_up_by(PAGE),
            KeyCode::Home => self.state.select_first(),
            KeyCode::End => self.state.select_last(),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Fill(1), Constraint::Length(1)])
                .areas(frame.area());
        frame.render_widget(Text::from(self.head()), head);
        let apps = self.stats.as_ref().map(|stats| &stats.apps[..]).unwrap_or_default();
        let rows: Vec<[String; COLUMNS.len()]> = apps.iter().map(cells).collect();
        let widths = (0..COLUMNS.len()).map(|at| {
            let width = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
            // Room for the arrow.
            Constraint::Length(u16::try_from(width.max(COLUMNS[at].title().len() + 2)).unwrap_or(u16::MAX))
        });
        let table = Table::new(rows.iter().map(|row| Row::new(row.iter().enumerate().map(of_cell))), widths)
            .header(Row::new((0..COLUMNS.len()).map(|at| self.title(at))).bold())
            .row_highlight_style(Style::new().reversed())
            .column_spacing(2);
        frame.render_stateful_widget(table, body, &mut self.state);
        frame.render_widget(
            Line::from("sort: n name  r requests  f failures  p p99  i in flight  h heap    q quit").dim(),
            foot,
        );
    }

    fn head(&self) -> Vec<Line<'static>> {
        let ProcessStatus { version, pid, started_ms, config, .. } = &self.process;
        let apps = self.stats.as_ref().map(|stats| &stats.apps[..]).unwrap_or_default();
        let sum = |of: fn(&atoll_host::internal::admin::AppStats) -> f64| {
            apps.iter().map(of).fold(0.0, |sum, number| sum + number)
        };
        vec![
            Line::from(format!("atoll {version}  process {pid}  up {}  {config}", units::since(*started_ms))),
            Line::from(format!(
                "{}  {:.0} requests/s  {:.0} failures/s  {:.0} in flight  heaps {}",
                units::count(apps.len(), "app"),
                sum(|app| app.per_second),
                sum(|app| app.failures_per_second),
                sum(|app| app.in_flight as f64),
                units::bytes(apps.iter().map(|app| app.live_bytes).sum()),
            )),
        ]
    }

    fn title(&self, at: usize) -> Text<'static> {
        let title = COLUMNS[at].title();
        let text = match self.order.key.column() == at {
            true if self.order.is_falling() => format!("{title} ▼"),
            true => format!("{title} ▲"),
            false => title.to_owned(),
        };
        Text::from(text).alignment(alignment(at))
    }
}

fn of_cell((at, text): (usize, &String)) -> Cell<'static> {
    let colour = match (at, text.as_str()) {
        (1, "serving") => Color::Green,
        (1, "failed" | "blocked") => Color::Red,
        (1, "resting" | "disabled") => Color::Yellow,
        // Failures.
        (4, count) if count != "0" => Color::Red,
        _ => Color::Reset,
    };
    let colour = if is_plain() { Color::Reset } else { colour };
    Cell::from(Text::from(text.clone()).alignment(alignment(at))).fg(colour)
}

/// Whether the user wants no colours.
fn is_plain() -> bool {
    anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never
}

fn alignment(at: usize) -> Alignment {
    match COLUMNS[at] {
        Column::Left(_) => Alignment::Left,
        Column::Right(_) => Alignment::Right,
    }
}
