//! In which form data is written.

use clap::ValueEnum;

/// In which form data is written to stdout. Money is exact in all but the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON document, as the server wrote it
    Json,
    /// One JSON document for each line
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
}
