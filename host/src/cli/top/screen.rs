//! The apps on the terminal, as they are second by second.

use atoll_host::internal::admin::{AdminClient, ProcessStatus, Stats};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table, TableState};

use super::super::table::Column;
use super::super::units;
use super::columns::{COLUMNS, Order, SortKey, cells};
use super::live::{self, View, is_plain};

/// Shows the apps until the user or a signal ends it.
pub(super) fn run(mut host: AdminClient, order: Order) -> anyhow::Result<()> {
    let process = host.status()?.process;
    let screen = Screen { process, order, stats: None, state: TableState::default() };
    live::run(screen, move |take| host.follow_stats(take))
}

/// What is shown.
struct Screen {
    process: ProcessStatus,
    order: Order,
    stats: Option<Stats>,
    state: TableState,
}

impl View for Screen {
    type Reading = Stats;

    fn update(&mut self, stats: Stats) {
        self.stats = Some(stats);
        self.sort();
    }

    fn key(&mut self, key: char) {
        if let Some(key) = SortKey::from_key(key) {
            self.order = self.order.asked_for(key);
            self.sort();
        }
    }

    fn scrolled(&mut self) -> &mut TableState {
        &mut self.state
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
}

impl Screen {
    fn sort(&mut self) {
        if let Some(stats) = &mut self.stats {
            self.order.sort(&mut stats.apps);
        }
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
        Text::from(text).alignment(alignment(COLUMNS[at]))
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
    Cell::from(Text::from(text.clone()).alignment(alignment(COLUMNS[at]))).fg(colour)
}

pub(super) fn alignment(column: Column) -> Alignment {
    match column {
        Column::Left(_) => Alignment::Left,
        Column::Right(_) => Alignment::Right,
    }
}
