//! A picture of the view.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row as TableRow, Table};
use unicode_width::UnicodeWidthStr as _;

use super::data::{Data, Row};
use super::view::{Level, View};
use crate::terminal::clean;

const KEYS: &str = "1-4 level  enter down  esc back  s/S sort  r reverse  / filter  ? help  q end";
const HELP: &str = "\
1 2 3 4, tab   nodes, namespaces, workloads, connections
up down j k    select; page up and down, home, end
enter          what is below: a node's or namespace's workloads, a workload's connections
esc            back: filter, then the level above
s S, right left   sort by the next or the previous column
r              the other way round
/              filter: type, enter keeps it, esc clears it
q, ctrl-c      end";

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View, data: &Result<Data, String>) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .split(frame.area());
    frame.render_widget(title(view), areas[0]);
    match data {
        Ok(data) => {
            frame.render_widget(place(view, data), areas[1]);
            table(frame, areas[2], view, data);
        }
        Err(why) => frame.render_widget(Paragraph::new(clean(why).into_owned()), areas[2]),
    }
    let bottom = if view.typing {
        format!("filter: {}_", clean(&view.filter))
    } else if view.filter.is_empty() {
        KEYS.to_owned()
    } else {
        format!("filter: {}   {KEYS}", clean(&view.filter))
    };
    frame.render_widget(Paragraph::new(bottom).style(dim()), areas[3]);
    if view.help {
        help(frame);
    }
}

/// Colours only where they are wanted: then things differ by weight.
fn colour(colour: Color) -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if refused { Style::new() } else { Style::new().fg(colour) }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn title(view: &View) -> Line<'static> {
    let mut spans = vec![Span::styled("ambit top ", Style::new().add_modifier(Modifier::BOLD))];
    for (number, level) in Level::ALL.into_iter().enumerate() {
        let text = format!(" {} {} ", number + 1, level.name());
        let style = if level == view.level() {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

fn place(view: &View, data: &Data) -> Line<'static> {
    let mut text = clean(&view.mesh).into_owned();
    for below in view.below() {
        text += &format!(" > {}", clean(&below.text()));
    }
    let mut spans = vec![Span::styled(text, dim())];
    let bad = colour(Color::Red).add_modifier(Modifier::BOLD);
    if let Some(why) = &data.stale {
        spans.push(Span::styled(format!("  not of now: {}", clean(why)), bad));
    }
    for missing in &data.missing {
        spans.push(Span::styled(format!("  {missing}"), bad));
    }
    Line::from(spans)
}

fn table(frame: &mut Frame<'_>, area: Rect, view: &mut View, data: &Data) {
    let rows = view.rows(data);
    let (columns, _) = view.level().columns();
    let (sort, descending) = view.sort();
    let heads: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(n, name)| match (n == sort, descending) {
            (true, true) => format!("{name} v"),
            (true, false) => format!("{name} ^"),
            (false, _) => (*name).to_owned(),
        })
        .collect();
    if rows.is_empty() {
        let text = if view.filter.is_empty() { "nothing here" } else { "nothing fits the filter" };
        frame.render_widget(Paragraph::new(text).style(dim()), area);
        return;
    }
    let width = |n: usize| {
        let texts = rows.iter().filter_map(|row| row.values.get(n)).map(|value| value.text.width());
        texts.chain([heads[n].width()]).max().unwrap_or_default() as u16
    };
    let widths: Vec<Constraint> =
        (0..columns.len()).map(|n| Constraint::Length(width(n))).collect();
    let line = |row: &&Row| {
        let style = if row.bad { colour(Color::Yellow) } else { Style::new() };
        TableRow::new(row.values.iter().map(|value| value.text.clone())).style(style)
    };
    let table = Table::new(rows.iter().map(line), widths)
        .header(TableRow::new(heads).style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut view.table);
}

fn help(frame: &mut Frame<'_>) {
    let lines = HELP.lines().count() as u16 + 2;
    let width = HELP.lines().map(str::len).max().unwrap_or_default() as u16 + 4;
    let area = frame.area();
    let (width, height) = (width.min(area.width), lines.min(area.height));
    let place = Rect {
        x: area.width.saturating_sub(width) / 2,
        y: area.height.saturating_sub(height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), place);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::remembered::shape::{Totals, WorkloadRow};

    fn picture(view: &mut View, data: &Result<Data, String>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 16)).expect("a terminal");
        view.follow(data.as_ref().ok());
        terminal.draw(|frame| draw(frame, view, data)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn a_picture_has_names_numbers_with_units_and_keys_and_no_control_characters() {
        let hostile = WorkloadRow {
            namespace: "shop".into(),
            name: "we\u{1b}[2Jb".into(),
            inbound: Totals { opened: 30, sent_bytes: 1 << 20, ..Totals::default() },
            health: "failing".into(),
            ..WorkloadRow::default()
        };
        let data = Ok(Data::of(&[], &[hostile], &[], Duration::from_secs(10)));
        let mut view = View::new(Level::Workloads, "run demo".into());
        let text = picture(&mut view, &data);
        for part in
            ["run demo", "3 workloads", "BYTES v", "we\\u{1b}[2Jb", "3.0/s", "102.4 KiB/s", "q end"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
        view.help = true;
        assert!(picture(&mut view, &data).contains("the other way round"));
        let failed =
            picture(&mut View::new(Level::Nodes, "m".into()), &Err("control is away".into()));
        assert!(failed.contains("control is away"), "{failed}");
    }
}
