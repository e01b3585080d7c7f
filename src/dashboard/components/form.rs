//! Forms: fields with their labels, hints and what is wrong with them, as the server found it.

use maud::{Markup, html};

/// A field of one line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Field<'a> {
    /// Its name in the form, unique on the page.
    pub name: &'a str,
    /// What it is called.
    pub label: &'a str,
    /// What helps to fill it in.
    pub hint: &'a str,
    /// What it holds.
    pub value: &'a str,
    /// What is wrong with that.
    pub wrong: Option<&'a str>,
    /// The input's type; empty for text.
    pub kind: &'a str,
    /// What the browser may fill in; empty for nothing.
    pub autocomplete: &'a str,
    /// A form without it is not complete.
    pub required: bool,
    /// What it may look like.
    pub placeholder: &'a str,
    /// How a phone's keyboard should look: `decimal`, `numeric`.
    pub inputmode: &'a str,
    /// The most characters.
    pub maxlength: Option<u16>,
}

impl Field<'_> {
    /// The field as it stands in a form.
    #[must_use]
    pub fn show(&self) -> Markup {
        let kind = if self.kind.is_empty() { "text" } else { self.kind };
        let autocomplete = if self.autocomplete.is_empty() { "off" } else { self.autocomplete };
        html! {
            div .field {
                label for=(self.name) { (self.label) }
                input id=(self.name) name=(self.name) type=(kind) value=(self.value) autocomplete=(autocomplete)
                    required[self.required] maxlength=[self.maxlength]
                    placeholder=[given(self.placeholder)] inputmode=[given(self.inputmode)]
                    aria-invalid=[self.wrong.map(|_| "true")] aria-describedby=[described(self.name, self.hint, self.wrong)];
                (notes(self.name, self.hint, self.wrong))
            }
        }
    }
}

/// One of several to choose from: its value, what it is called, and whether it is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// What is sent.
    pub value: &'a str,
    /// What is shown.
    pub text: &'a str,
    /// Whether it is the chosen one.
    pub chosen: bool,
}

/// A list to choose one from.
#[must_use]
pub fn select(name: &str, label: &str, hint: &str, choices: &[Choice<'_>], wrong: Option<&str>) -> Markup {
    html! {
        div .field {
            label for=(name) { (label) }
            select id=(name) name=(name) aria-invalid=[wrong.map(|_| "true")]
                aria-describedby=[described(name, hint, wrong)] {
                @for choice in choices {
                    option value=(choice.value) selected[choice.chosen] { (choice.text) }
                }
            }
            (notes(name, hint, wrong))
        }
    }
}

/// A tick: `value` is sent where it is set.
#[must_use]
pub fn tick(name: &str, value: &str, label: &Markup, set: bool) -> Markup {
    html! {
        label .tick {
            input type="checkbox" name=(name) value=(value) checked[set];
            span { (label) }
        }
    }
}

/// What a form carries unseen.
#[must_use]
pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// The token that proves that a form came from a page of this session.
#[must_use]
pub fn csrf(token: &str) -> Markup {
    hidden("csrf", token)
}

/// A form that also opens as a dialog (a link of class `in-dialog` leads to its page): its title, what it asks
/// and its fields; the buttons stand below. `wrong` is what was refused as a whole.
#[must_use]
pub fn dialog_form(
    title: &str,
    action: &str,
    token: &str,
    wrong: Option<&str>,
    fields: &Markup,
    buttons: &Markup,
) -> Markup {
    html! {
        section data-dialog {
            h2 #dialog-title { (title) }
            form .fields method="post" action=(action) {
                (csrf(token))
                @if let Some(wrong) = wrong { p .wrong role="alert" { (wrong) } }
                (fields)
                div .buttons { (buttons) }
            }
        }
    }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn described(name: &str, hint: &str, wrong: Option<&str>) -> Option<String> {
    match (hint.is_empty(), wrong) {
        (true, None) => None,
        (false, None) => Some(format!("{name}-hint")),
        (true, Some(_)) => Some(format!("{name}-wrong")),
        (false, Some(_)) => Some(format!("{name}-wrong {name}-hint")),
    }
}

fn notes(name: &str, hint: &str, wrong: Option<&str>) -> Markup {
    html! {
        @if let Some(wrong) = wrong { span .wrong id={ (name) "-wrong" } { (wrong) } }
        @if !hint.is_empty() { span .hint id={ (name) "-hint" } { (hint) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_beside_its_field_and_the_value_is_kept() {
        let field = Field {
            name: "name",
            label: "Name",
            value: "\"><script>",
            wrong: Some("Too long."),
            ..Field::default()
        };
        let html = field.show().into_string();
        assert!(
            html.contains("aria-invalid=\"true\"") && html.contains("aria-describedby=\"name-wrong\""),
            "{html}"
        );
        assert!(html.contains("&quot;&gt;&lt;script&gt;") && html.contains("Too long."), "{html}");
    }
}
