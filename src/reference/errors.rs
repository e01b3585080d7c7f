//! `docs/errors.md` as a page, with a place for each code.

use maud::{Markup, PreEscaped, html};

use super::page::{self, markdown};
use crate::openapi::errors::{CODES, PAGE};

pub(super) fn page() -> Markup {
    let text = PAGE.strip_prefix("# Errors").unwrap_or(PAGE);
    let PreEscaped(mut body) = markdown(text);
    for known in CODES.iter() {
        let (code, row) = (known.code, format!("<tr><td><code>{}</code>", known.code));
        body =
            body.replace(&row, &format!("<tr id=\"{code}\"><td><a href=\"#{code}\"><code>{code}</code></a>"));
    }
    // Wide tables scroll by themselves, with the keyboard too.
    let body = body
        .replace("<table>", "<div class=\"wide\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>");
    let navigation = html! {
        ul { @for known in CODES.iter() { li { a href={ "#" (known.code) } { code { (known.code) } } } } }
    };
    page::page("Errors", &navigation, &html! { h1 { "Errors" } (PreEscaped(body)) })
}
