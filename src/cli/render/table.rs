//! Tables for people: columns two spaces apart, no lines, ids never broken.

use comfy_table::{CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::text::printable;
use super::{Cell, Tone};
use crate::cli::screen::Look;

/// A column of text gets at least so many characters, or as many as it needs.
const TEXT_LEAST_WIDTH: u16 = 10;
/// No terminal in use is narrower.
const WIDTH_LEAST: u16 = 20;
/// Between columns.
const GAP: u16 = 2;

/// A table under its headings; where the terminal is too narrow for it, names and values for each row.
#[must_use]
pub fn with_headings(headings: &[&str], rows: &[Vec<Cell>], look: Look) -> String {
    let mut table = plain(rows, look);
    table.set_header(headings.iter().map(comfy_table::Cell::new));
    let least = shaped(&mut table, rows);
    match table.width() {
        Some(width) if width < least => one_by_one(headings, rows, look),
        Some(_) | None => table.trim_fmt() + "\n",
    }
}

/// Names and values, one pair to a line.
#[must_use]
pub fn of_pairs(pairs: &[(&str, Cell)], look: Look) -> String {
    let name = |name: &str| Cell::Id(name.to_owned());
    let rows: Vec<_> = pairs.iter().map(|(label, value)| vec![name(label), value.clone()]).collect();
    let mut table = plain(&rows, look);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, GAP));
    });
    table.trim_fmt() + "\n"
}

/// The columns of a table whose rows come one by one. They grow with what they have to hold, and what is
/// written already stays as it is.
#[derive(Debug, Default)]
pub struct Widths(Vec<usize>);

impl Widths {
    /// Some more rows, under their headings if they are the first.
    #[must_use]
    pub fn lines(&mut self, headings: Option<&[&str]>, rows: &[Vec<Cell>]) -> String {
        let headings = headings.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let rows = rows.iter().map(|row| row.iter().map(|cell| printable(&cell.shown())).collect());
        let lines: Vec<Vec<String>> = headings.into_iter().chain(rows).collect();
        for line in &lines {
            self.0.resize(self.0.len().max(line.len()), 0);
            for (width, text) in self.0.iter_mut().zip(line) {
                *width = text.chars().count().max(*width);
            }
        }
        lines.iter().map(|line| self.line(line)).collect()
    }

    fn line(&self, texts: &[String]) -> String {
        let gap = usize::from(GAP);
        let padded = texts.iter().zip(&self.0).map(|(text, width)| format!("{text:<0$}", width + gap));
        padded.collect::<String>().trim_end().to_owned() + "\n"
    }
}

fn one_by_one(headings: &[&str], rows: &[Vec<Cell>], look: Look) -> String {
    let pairs = |row: &Vec<Cell>| headings.iter().copied().zip(row.iter().cloned()).collect::<Vec<_>>();
    rows.iter().map(|row| of_pairs(&pairs(row), look)).collect::<Vec<_>>().join("\n")
}

fn plain(rows: &[Vec<Cell>], look: Look) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // A terminal that tells no size, or a senseless one, gets the table as it is.
    if !look.fitted || table.width().is_none_or(|width| width < WIDTH_LEAST) {
        table.force_no_tty();
        if look.coloured {
            table.enforce_styling();
        }
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| dressed(cell, look)));
    }
    table
}

/// Numbers to the right, texts broken where they must be, all else whole. Returns the least width.
fn shaped(table: &mut Table, rows: &[Vec<Cell>]) -> u16 {
    let widths = table.column_max_content_widths();
    let mut least = 0_u16;
    for (place, column) in table.column_iter_mut().enumerate() {
        let cells = || rows.iter().filter_map(|row| row.get(place));
        column.set_padding((0, GAP));
        if cells().any(Cell::is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let needed = widths.get(place).copied().unwrap_or_default();
        let breakable = cells().any(|cell| matches!(cell, Cell::Text(_)));
        let width = if breakable { needed.min(TEXT_LEAST_WIDTH) } else { needed };
        // Of a column, the padding is a part.
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(GAP))));
        least = least.saturating_add(width).saturating_add(GAP);
    }
    least
}

fn dressed(cell: &Cell, look: Look) -> comfy_table::Cell {
    let dressed = comfy_table::Cell::new_owned(printable(&cell.shown()));
    match cell {
        Cell::Status(_, tone) if look.coloured => dressed.fg(match tone {
            Tone::Good => Color::Green,
            Tone::Warning => Color::Yellow,
            Tone::Bad => Color::Red,
            Tone::Ended => Color::Grey,
        }),
        _ => dressed,
    }
}

#[cfg(test)]
mod tests {
    use nemo_events::Nanos;

    use super::*;

    #[test]
    fn numbers_stand_right_and_texts_left() {
        let row = |name: &str, nanos| vec![Cell::Id(name.into()), Cell::Total(Nanos::from_nanos(nanos))];
        let rows = [
            row("a", 1_000_000_000),
            row("longer", 1_234_000_000_000),
            vec![Cell::Id("c".into()), Cell::Nothing],
        ];
        let table = with_headings(&["Name", "Spent"], &rows, Look::PLAIN);
        assert_eq!(table, "Name        Spent\na           $1.00\nlonger  $1,234.00\nc               –\n");
    }

    #[test]
    fn a_text_cannot_drive_the_terminal() {
        let rows = [vec![Cell::Text("a\x1b[31m\nb".into())]];
        assert_eq!(with_headings(&["Name"], &rows, Look::PLAIN), "Name\na\u{fffd}[31m\u{fffd}b\n");
    }

    #[test]
    fn a_status_is_a_word_and_a_dot_without_colour_off_a_terminal() {
        let rows = [vec![Cell::Status("blocked".into(), Tone::Warning)]];
        assert_eq!(with_headings(&["Status"], &rows, Look::PLAIN), "Status\n● blocked\n");
    }

    #[test]
    fn pairs_stand_side_by_side() {
        let pairs = [("Key", Cell::Id("key_1".into())), ("Created", Cell::Nothing)];
        assert_eq!(of_pairs(&pairs, Look::PLAIN), "Key      key_1\nCreated  –\n");
    }
}
