//! The codes of errors, as `docs/errors.md` lists them: the one place where they are explained. Tests hold it
//! together with the code.

use std::sync::LazyLock;

/// The page.
pub const PAGE: &str = include_str!("../docs/errors.md");

/// A code, and what the page says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCode {
    /// The code.
    pub code: &'static str,
    /// Its status; `None` where a provider chooses it.
    pub status: Option<u16>,
    /// Its status under `/api`, where that differs.
    pub management_status: Option<u16>,
    /// What it means and what to do, as Markdown.
    pub meaning: &'static str,
}

impl ErrorCode {
    /// Its status on a route.
    #[must_use]
    pub fn status_at(&self, path: &str) -> Option<u16> {
        self.management_status.filter(|_| path.starts_with("/api/")).or(self.status)
    }
}

/// All codes, in the order of the page.
pub static CODES: LazyLock<Vec<ErrorCode>> = LazyLock::new(|| PAGE.lines().filter_map(row).collect());

/// The code of this name.
#[must_use]
pub fn named(code: &str) -> Option<&'static ErrorCode> {
    CODES.iter().find(|known| known.code == code)
}

/// A row of one of the page's tables: the code in backticks, the status, and in the last column the meaning.
fn row(line: &'static str) -> Option<ErrorCode> {
    let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
    let code = cells.next()?.strip_suffix('`')?;
    let status = cells.next()?;
    let meaning = cells.last()?;
    let (first, under_api) = status.split_once(", under `/api` ").unwrap_or((status, ""));
    Some(ErrorCode { code, status: first.parse().ok(), management_status: under_api.parse().ok(), meaning })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_page_is_read() {
        let rows = PAGE.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(CODES.len(), rows);
        let chosen_by_providers: Vec<_> =
            CODES.iter().filter(|code| code.status.is_none()).map(|code| code.code).collect();
        assert_eq!(chosen_by_providers, ["provider_error"]);
        assert!(CODES.iter().all(|code| code.meaning.len() > 10));
    }

    #[test]
    fn a_status_can_depend_on_the_route() {
        let revoked =
            named("key_revoked").map(|code| (code.status_at("/v1/key"), code.status_at("/api/keys")));
        assert_eq!(revoked, Some((Some(401), Some(409))));
    }
}
