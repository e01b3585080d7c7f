//! What the pages have in common.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use pulldown_cmark::{Options, Parser};

/// A page with its navigation beside it.
pub(super) fn page(title: &str, navigation: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Nemo" }
                link rel="stylesheet" href="/docs/style.css";
            }
            body {
                a .skip href="#content" { "To the content" }
                header {
                    a .name href="/docs" { "Nemo" }
                    span .version { (env!("CARGO_PKG_VERSION")) }
                    nav aria-label="Documents" {
                        a href="/docs" { "Routes" }
                        a href="/docs/errors" { "Errors" }
                        a href="/openapi.json" { "OpenAPI" }
                    }
                }
                div .columns {
                    nav .contents aria-label="On this page" { (navigation) }
                    main #content { (content) }
                }
            }
        }
    }
}

/// Our own Markdown as HTML; nothing that anybody sends comes here.
pub(crate) fn markdown(text: &str) -> Markup {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, Parser::new_ext(text, Options::ENABLE_TABLES));
    PreEscaped(html)
}
