//! The hosts and apps of a fleet on the terminal, as they change.

use std::thread::sleep;
use std::time::Duration;

use anstyle::{AnsiColor, Effects};
use atoll_host::internal::admin::AdminClient;
use atoll_host::internal::escape;
use atoll_host::internal::fleet::{FleetApp, FleetStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell as Shown, Paragraph, Row, Table, TableState, Wrap};

use super::live::{self, View, is_plain};
use super::screen::alignment;
use crate::cli::fleet::show::{
    HOST_COLUMNS, ON_HOST_COLUMNS, differences, disconnection, failed, host, on_host, state,
};
use crate::cli::style::WARNING;
use crate::cli::table::{Cell, Column};
use crate::cli::units;

/// How often the host is asked.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows the fleet of a host until the user or a signal ends it.
pub(super) fn run(mut host: AdminClient) -> anyhow::Result<()> {
    // That the host is in no fleet is an error before anything is shown.
    let screen = Screen { status: host.fleet()?, state: TableState::default() };
    live::run(screen, move |take| {
        loop {
            sleep(PAUSE);
            if take(host.fleet()?).is_break() {
                return Ok(());
            }
        }
    })
}

/// What is shown.
struct Screen {
    status: FleetStatus,
    state: TableState,
}

impl View for Screen {
    type Reading = FleetStatus;

    fn update(&mut self, status: FleetStatus) {
        self.status = status;
    }

    fn key(&mut self, _: char) {}

    fn scrolled(&mut self) -> &mut TableState {
        &mut self.state
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let hosts: Vec<_> = self.status.hosts.iter().map(host).collect();
        let apps: Vec<_> = self.status.apps.iter().flat_map(rows).collect();
        let problems: Vec<_> = self.status.apps.iter().flat_map(problems).collect();
        let area = frame.area();
        // The apps have at least a third of the screen.
        let most = area.height.saturating_sub(5) / 3;
        let rows_of = |line: &String| line.chars().count().div_ceil(usize::from(area.width.max(1)));
        let part = |lines: usize| Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX).min(most));
        let heights = [
            Constraint::Length(2),
            part(hosts.len() + 1),
            Constraint::Length(1),
            Constraint::Fill(1),
            part(problems.iter().map(rows_of).sum()),
            Constraint::Length(1),
        ];
        let [head, upper, _, lower, under, foot] = Layout::vertical(heights).areas(area);
        frame.render_widget(Text::from(self.head()), head);
        frame.render_widget(table(&HOST_COLUMNS, &hosts), upper);
        frame.render_stateful_widget(table(&APP_COLUMNS, &apps), lower, &mut self.state);
        let problems = Paragraph::new(problems.join("\n")).wrap(Wrap { trim: true });
        frame.render_widget(problems.style(as_shown(&Cell::styled("", WARNING))), under);
        frame.render_widget(Line::from("up, down, page up, page down scroll the apps    q quit").dim(), foot);
    }
}

impl Screen {
    fn head(&self) -> Vec<Line<'static>> {
        let FleetStatus { name, hosts, apps, .. } = &self.status;
        let (hosts, apps) = (units::count(hosts.len(), "host"), units::count(apps.len(), "app"));
        let away = disconnection(&self.status).unwrap_or_default();
        vec![
            Line::from(format!("fleet {name}  {hosts}  {apps}  seen by {}", self.status.host)),
            Line::from(away).style(as_shown(&Cell::styled("", WARNING))),
        ]
    }
}

/// The columns of the table of apps: those of the app, and those of a host but for the last one, which is too long for a table.
const APP_COLUMNS: [Column; 3 + ON_HOST] = {
    let [host, version, generation, phase, errors, out_of_date, _] = ON_HOST_COLUMNS;
    let [app, deployed, state] = [Column::Left("APP"), Column::Left("DEPLOYED"), Column::Left("STATE")];
    [app, deployed, state, host, version, generation, phase, errors, out_of_date]
};
const ON_HOST: usize = ON_HOST_COLUMNS.len() - 1;

/// A row for each host of an app; the first one names the app.
fn rows(app: &FleetApp) -> Vec<Vec<Cell>> {
    let empty = |number: usize| vec![Cell::from(""); number];
    let title = vec![(&*app.name).into(), app.version.as_deref().unwrap_or("-").into(), state(app)];
    let mut hosts: Vec<Vec<Cell>> = app.hosts.iter().map(|host| on_host(host)[..ON_HOST].to_vec()).collect();
    if hosts.is_empty() {
        hosts.push(empty(ON_HOST));
    }
    let titles = std::iter::once(title).chain(std::iter::repeat_with(|| empty(3)));
    titles.zip(hosts).map(|(title, host)| [title, host].concat()).collect()
}

/// What is out of date, and why a rollout went back.
fn problems(app: &FleetApp) -> Vec<String> {
    let failure = app.failure.as_ref().map(|failure| {
        let text = format!("{} went back {}", app.name, failed(failure));
        escape::line(&text).into_owned()
    });
    differences(app).into_iter().chain(failure).collect()
}

fn table<'a, R: AsRef<[Cell]>>(columns: &[Column], rows: &[R]) -> Table<'a> {
    let widths = columns.iter().enumerate().map(|(at, column)| {
        let width = rows.iter().map(|row| row.as_ref()[at].text().chars().count()).max().unwrap_or(0);
        Constraint::Length(u16::try_from(width.max(column.title().len())).unwrap_or(u16::MAX))
    });
    let shown = rows.iter().map(|row| {
        let cells = row.as_ref().iter().zip(columns).map(|(cell, column)| {
            Shown::from(Text::from(cell.text().to_owned()).alignment(alignment(*column)))
                .style(as_shown(cell))
        });
        Row::new(cells)
    });
    let titles = columns.iter().map(|column| Text::from(column.title()).alignment(alignment(*column)));
    Table::new(shown, widths)
        .header(Row::new(titles).bold())
        .row_highlight_style(Style::new().reversed())
        .column_spacing(2)
}

/// The style of a cell, as the screen has it.
fn as_shown(cell: &Cell) -> Style {
    let style = cell.style();
    if is_plain() {
        return Style::new();
    }
    let colour = match style.get_fg_color() {
        Some(anstyle::Color::Ansi(AnsiColor::Green)) => Color::Green,
        Some(anstyle::Color::Ansi(AnsiColor::Yellow)) => Color::Yellow,
        Some(anstyle::Color::Ansi(AnsiColor::Red)) => Color::Red,
        _ => Color::Reset,
    };
    let shown = Style::new().fg(colour);
    if style.get_effects().contains(Effects::DIMMED) { shown.dim() } else { shown }
}
