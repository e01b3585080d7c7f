//! Rows of one shape in the wanted format, page after page. Only a table waits for its last row, unless it
//! is one that grows.

use super::{Cell, Shape, csv, json, table};
use crate::cli::output::Output;
use crate::cli::reply::Verbatim;
use crate::cli::screen::Look;

/// Rows that are being written.
pub struct Rows<V: 'static> {
    shape: &'static Shape<V>,
    output: Output,
    look: Look,
    waiting: Vec<Vec<Cell>>,
    written: usize,
    /// The columns of a table that does not wait for its last row.
    growing: Option<table::Widths>,
}

impl<V> Rows<V> {
    /// No rows yet.
    #[must_use]
    pub const fn new(shape: &'static Shape<V>, output: Output, look: Look) -> Self {
        Self { shape, output, look, waiting: Vec::new(), written: 0, growing: None }
    }

    /// No rows yet, and nobody knows how many there will be: each is written at once, in a table as well.
    #[must_use]
    pub fn growing(shape: &'static Shape<V>, output: Output, look: Look) -> Self {
        Self { growing: Some(table::Widths::default()), ..Self::new(shape, output, look) }
    }

    /// How many rows there were.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.written
    }

    /// What to write for some more rows.
    #[must_use]
    pub fn page(&mut self, items: &[Verbatim<V>]) -> String {
        let begun = self.written > 0;
        self.written += items.len();
        let documents = items.iter().map(Verbatim::json);
        match self.output {
            Output::Json => json::array_items(documents, begun),
            Output::Jsonl => json::lines(documents),
            Output::Csv => {
                let header = if begun || items.is_empty() { String::new() } else { self.csv_header() };
                items.iter().fold(header, |text, item| text + &csv_line(self.shape, &item.view))
            }
            Output::Table => {
                let rows = items.iter().map(|item| shown(self.shape, &item.view));
                match &mut self.growing {
                    None => {
                        self.waiting.extend(rows);
                        String::new()
                    }
                    Some(widths) => {
                        let headings = (!begun).then(|| headings(self.shape));
                        widths.lines(headings.as_deref(), &rows.collect::<Vec<_>>())
                    }
                }
            }
        }
    }

    /// Adds a row that sums up the others. It stands in tables only: whoever reads files adds up by himself.
    pub fn footer(&mut self, view: &V) {
        if self.output == Output::Table {
            self.waiting.push(shown(self.shape, view));
        }
    }

    /// What to write when no more rows follow.
    #[must_use]
    pub fn end(self) -> String {
        let begun = self.written > 0;
        match self.output {
            Output::Json => json::array_end(begun).to_owned(),
            Output::Csv if !begun => self.csv_header(),
            Output::Table if begun && self.growing.is_none() => {
                table::with_headings(&headings(self.shape), &self.waiting, self.look)
            }
            Output::Jsonl | Output::Csv | Output::Table => String::new(),
        }
    }

    fn csv_header(&self) -> String {
        csv::header(self.shape.columns.iter().filter_map(|column| column.name))
    }
}

fn headings<V>(shape: &Shape<V>) -> Vec<&'static str> {
    shape.columns.iter().filter_map(|column| column.heading).collect()
}

/// One row by itself: in JSON the whole reply that it came in.
#[must_use]
pub fn alone<V>(shape: &'static Shape<V>, view: &V, reply: &str, output: Output, look: Look) -> String {
    let rows = Rows::new(shape, output, look);
    match output {
        Output::Json | Output::Jsonl => json::lines(std::iter::once(reply)),
        Output::Csv => rows.csv_header() + &csv_line(shape, view),
        Output::Table => table::with_headings(&headings(shape), &[shown(shape, view)], look),
    }
}

fn csv_line<V>(shape: &Shape<V>, view: &V) -> String {
    let in_files = shape.columns.iter().filter(|column| column.name.is_some());
    let cells: Vec<_> = in_files.map(|column| (column.cell)(view)).collect();
    csv::line(&cells)
}

fn shown<V>(shape: &Shape<V>, view: &V) -> Vec<Cell> {
    let in_tables = shape.columns.iter().filter(|column| column.heading.is_some());
    in_tables.map(|column| (column.cell)(view)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use nemo_events::Nanos;
    use serde::Deserialize;

    use super::*;
    use crate::cli::render::Column;

    #[derive(Deserialize)]
    struct View {
        name: String,
        cost: Nanos,
    }

    static SHAPE: Shape<View> = Shape {
        columns: &[
            Column::new("name", "Name", |v| Cell::Text(v.name.clone())),
            Column::in_files("exact", |v| Cell::Count(v.cost.as_nanos().unsigned_abs())),
            Column::in_tables("Brief", |v| Cell::Id(format!("{}!", v.name))),
            Column::new("cost", "Cost", |v| Cell::Total(v.cost)),
        ],
        none: "Nothing.",
    };

    fn written(output: Output, pages: &[&str]) -> String {
        let mut rows = Rows::new(&SHAPE, output, Look::PLAIN);
        let mut text = String::new();
        for page in pages {
            text += &rows.page(&serde_json::from_str::<Vec<_>>(page).unwrap());
        }
        text + &rows.end()
    }

    const PAGES: [&str; 3] =
        [r#"[{"name":"a","cost":"0.5"}]"#, "[]", r#"[{"cost":"1000","name":"=b","new":1}]"#];

    #[test]
    fn every_format_is_made_from_the_same_rows() {
        let json =
            "[\n{\"name\":\"a\",\"cost\":\"0.5\"},\n{\"cost\":\"1000\",\"name\":\"=b\",\"new\":1}\n]\n";
        assert_eq!(written(Output::Json, &PAGES), json);
        let jsonl = "{\"name\":\"a\",\"cost\":\"0.5\"}\n{\"cost\":\"1000\",\"name\":\"=b\",\"new\":1}\n";
        assert_eq!(written(Output::Jsonl, &PAGES), jsonl);
        let csv = "name,exact,cost\na,500000000,0.5\n'=b,1000000000000,1000\n";
        assert_eq!(written(Output::Csv, &PAGES), csv);
        assert_eq!(
            written(Output::Table, &PAGES),
            "Name  Brief       Cost\na     a!         $0.50\n=b    =b!    $1,000.00\n"
        );
    }

    #[test]
    fn a_growing_table_is_written_row_by_row_under_columns_that_only_grow() {
        let mut rows = Rows::growing(&SHAPE, Output::Table, Look::PLAIN);
        let page = |json: &str| serde_json::from_str::<Vec<Verbatim<View>>>(json).unwrap();
        let first = rows.page(&page(r#"[{"name":"a","cost":"1.5"}]"#));
        assert_eq!(first, "Name  Brief  Cost\na     a!     $1.50\n");
        let second = rows.page(&page(r#"[{"name":"longer","cost":"2"},{"name":"b","cost":"3"}]"#));
        assert_eq!(second, "longer  longer!  $2.00\nb       b!       $3.00\n");
        assert_eq!(rows.end(), "");
    }

    #[test]
    fn no_rows_are_still_a_document() {
        let empty =
            [Output::Table, Output::Json, Output::Jsonl, Output::Csv].map(|output| written(output, &["[]"]));
        assert_eq!(empty, ["", "[]\n", "", "name,exact,cost\n"]);
    }

    #[test]
    fn one_row_alone_is_the_whole_reply_in_json() {
        let (view, reply) = (View { name: "a".into(), cost: Nanos::ZERO }, r#"{"key":{},"position":7}"#);
        let written = |output| alone(&SHAPE, &view, reply, output, Look::PLAIN);
        assert_eq!(written(Output::Json), format!("{reply}\n"));
        assert_eq!(written(Output::Csv), "name,exact,cost\na,0,0\n");
        assert_eq!(written(Output::Table), "Name  Brief   Cost\na     a!     $0.00\n");
    }
}
