//! Comma-separated values (RFC 4180, lines end in `\n`), safe to open in a spreadsheet.

use super::Cell;

/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// One line of cells.
#[must_use]
pub fn line(cells: &[Cell]) -> String {
    let fields: Vec<_> = cells.iter().map(field).collect();
    fields.join(",") + "\n"
}

/// The line of column names.
#[must_use]
pub fn header<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(",") + "\n"
}

fn field(cell: &Cell) -> String {
    let mut text = cell.exact();
    if cell.is_text() && text.starts_with(FORMULA) {
        text.insert(0, '\'');
    }
    let quoted = text.contains([',', '"', '\n', '\r']);
    if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use nemo_events::Nanos;

    use super::*;

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn a_field_is_quoted_where_it_must_be() {
        let cells = [text("plain"), text("a,b"), text("say \"hi\""), text("two\nlines"), Cell::Nothing];
        assert_eq!(line(&cells), "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\n");
    }

    #[test]
    fn a_text_is_never_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=1,2"] {
            let line = line(&[text(formula)]);
            assert!(line.starts_with('\'') || line.starts_with("\"'"), "{line}");
        }
    }

    #[test]
    fn a_number_is_exact_and_its_sign_no_formula() {
        let cells = [
            Cell::Total(Nanos::from_nanos(-1)),
            Cell::OneCall(Nanos::from_nanos(125_000)),
            Cell::Count(1_000),
        ];
        assert_eq!(line(&cells), "-0.000000001,0.000125,1000\n");
    }
}
