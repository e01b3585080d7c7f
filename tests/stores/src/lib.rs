//! The attribute of a test that holds on each store, so that it is written once and its name says where it ran.

use proc_macro::{TokenStream, TokenTree};

/// Makes two tests of one story: `a_story::embedded` and `a_story::eventstoredb`. What it is given goes to
/// `#[tokio::test(…)]`.
///
/// It is `crate::harness::Store` that tells the story, and that a gateway within it asks where its ledger is.
#[proc_macro_attribute]
pub fn on_each_store(how: TokenStream, story: TokenStream) -> TokenStream {
    let Some(name) = name_of(&story) else { return error("a story is an async fn without arguments") };
    let tests = format!(
        "mod {name} {{
            #[tokio::test({how})]
            async fn embedded() {{
                crate::harness::Store::Embedded.tells(super::{name}()).await
            }}
            #[tokio::test({how})]
            async fn eventstoredb() {{
                crate::harness::Store::EventStoreDb.tells(super::{name}()).await
            }}
        }}"
    );
    let Ok(tests) = tests.parse::<TokenStream>() else {
        return error("its arguments are not those of a test");
    };
    let mut both = story;
    both.extend(tests);
    both
}

/// What stands behind `fn`.
fn name_of(story: &TokenStream) -> Option<String> {
    let mut tokens = story.clone().into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    match tokens.next()? {
        TokenTree::Ident(name) => Some(name.to_string()),
        TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    }
}

fn error(why: &str) -> TokenStream {
    format!("::std::compile_error!({why:?});").parse().unwrap_or_default()
}
