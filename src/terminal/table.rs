//! Aligned columns. Data is never wrapped or cut: a line is one row, for `grep` and `awk`.

use unicode_width::UnicodeWidthStr as _;

use super::{Style, clean};

/// Between two columns.
const GAP: &str = "   ";

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    name: &'static str,
    wide: bool,
    right: bool,
}

impl Column {
    /// A column of text.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, wide: false, right: false }
    }

    /// A column of numbers, set at the right.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self { name, wide: false, right: true }
    }

    /// Shown with `-o wide` only.
    #[must_use]
    pub(crate) const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

/// A field of a row; an empty one shows `-`, so that fields can be counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text with what it means.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }

    /// Good if it holds, bad otherwise.
    pub(crate) fn verdict(text: impl Into<String>, good: bool) -> Self {
        Self::styled(text, if good { Style::Good } else { Style::Bad })
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Self {
        Self { text: value.to_string(), style: Style::Plain }
    }
}

/// Rows under their columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// What is said in place of an empty table.
    empty: String,
}

impl Table {
    /// No rows yet; `empty` is the sentence that is shown while that is so.
    pub(crate) fn new(columns: &[Column], empty: impl Into<String>) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), empty: empty.into() }
    }

    /// Adds a row: a cell for each column, those of `-o wide` too.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        cells.resize(self.columns.len(), Cell::default());
        self.rows.push(cells);
    }

    /// The table as text, each line ended.
    pub(crate) fn render(&self, wide: bool, colour: bool) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.empty);
        }
        let shown: Vec<usize> =
            (0..self.columns.len()).filter(|n| wide || !self.columns[*n].wide).collect();
        let width = |n: usize| {
            let cells = self.rows.iter().map(|row| shown_text(&row[n]).width());
            cells.chain([self.columns[n].name.width()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = shown.iter().map(|n| width(*n)).collect();
        let mut out = String::new();
        let heads = shown.iter().map(|n| (self.columns[*n].name.to_owned(), Style::Heading));
        self.line(&shown, &widths, heads, colour, &mut out);
        for row in &self.rows {
            let cells = shown.iter().map(|n| (shown_text(&row[*n]), row[*n].style));
            self.line(&shown, &widths, cells, colour, &mut out);
        }
        out
    }

    fn line(
        &self,
        shown: &[usize],
        widths: &[usize],
        cells: impl Iterator<Item = (String, Style)>,
        colour: bool,
        out: &mut String,
    ) {
        for (place, (text, style)) in cells.enumerate() {
            if place > 0 {
                out.push_str(GAP);
            }
            let blank = " ".repeat(widths[place].saturating_sub(text.width()));
            let last = place + 1 == shown.len();
            if self.columns[shown[place]].right {
                out.push_str(&blank);
                out.push_str(&style.paint(&text, colour));
            } else {
                out.push_str(&style.paint(&text, colour));
                out.push_str(if last { "" } else { &blank });
            }
        }
        out.push('\n');
    }
}

fn shown_text(cell: &Cell) -> String {
    if cell.text.is_empty() { "-".to_owned() } else { clean(&cell.text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [Column::text("NAME"), Column::number("PODS"), Column::text("IDENTITY").wide()];

    fn table() -> Table {
        let mut table = Table::new(&COLUMNS, "no workload");
        table.row(["shop/web".into(), 2.into(), "web".into()]);
        table.row([Cell::styled("a", Style::Bad), 10.into(), Cell::default()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_wide_ones_wait() {
        assert_eq!(
            table().render(false, false),
            "NAME       PODS\nshop/web      2\na            10\n"
        );
        assert_eq!(
            table().render(true, false),
            "NAME       PODS   IDENTITY\nshop/web      2   web\na            10   -\n"
        );
    }

    #[test]
    fn colours_do_not_move_columns() {
        let text = table().render(false, true);
        let bare =
            text.replace("\u{1b}[1m", "").replace("\u{1b}[31;1m", "").replace("\u{1b}[0m", "");
        assert_ne!(text, bare);
        assert_eq!(bare, table().render(false, false));
    }

    #[test]
    fn long_data_is_one_line_and_control_characters_do_not_act() {
        let mut table = Table::new(&[Column::text("NAME"), Column::text("X")], "none");
        table.row([format!("{}\n\u{1b}[2J", "n".repeat(300)).into(), "x".into()]);
        let text = table.render(false, false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}"), "{text}");
        assert_eq!(Table::new(&COLUMNS, "no workload").render(false, false), "no workload\n");
    }
}
