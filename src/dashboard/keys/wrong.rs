//! What is wrong with a form: beside a field, or with the form as a whole.

use crate::error::Failure;

/// Everything that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::dashboard) struct Wrong {
    fields: Vec<(&'static str, String)>,
    whole: Option<String>,
}

impl Wrong {
    /// Says what is wrong with a field.
    pub(super) fn with(&mut self, field: &'static str, why: impl Into<String>) {
        self.fields.push((field, why.into()));
    }

    /// What is wrong with a field.
    pub(super) fn of(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, why)| why.as_str())
    }

    /// What is wrong with the form as a whole.
    pub(in crate::dashboard) fn whole(&self) -> Option<&str> {
        match &self.whole {
            Some(why) => Some(why),
            None if self.fields.is_empty() => None,
            None => Some("Nothing was changed yet: look at the fields that are marked."),
        }
    }

    /// Whether nothing is.
    pub(super) fn is_nothing(&self) -> bool {
        self.fields.is_empty() && self.whole.is_none()
    }

    /// A refusal, beside the fields that it names, or the one that it begins with, if the form has them.
    pub(in crate::dashboard) fn refused(failure: &Failure, fields: &[&'static str]) -> Self {
        let message = failure.message.as_str();
        if !failure.errors.is_empty() {
            return Self::field_by_field(failure);
        }
        let named = fields
            .iter()
            .find(|field| message.strip_prefix(**field).is_some_and(|rest| rest.starts_with([':', ' '])));
        match named {
            Some(field) => Self { fields: vec![(field, capitalised(message))], whole: None },
            None => Self { fields: Vec::new(), whole: Some(capitalised(message)) },
        }
    }
}

impl Wrong {
    /// The first sentence says what they have in common.
    fn field_by_field(failure: &Failure) -> Self {
        let mut wrong = Self::default();
        for error in &failure.errors {
            match wrong.fields.iter_mut().find(|(field, _)| *field == error.field) {
                Some((_, why)) => *why = format!("{why} {}", error.detail),
                None => wrong.with(error.field, error.detail.clone()),
            }
        }
        wrong.whole =
            failure.message.split_once(". ").map(|(first, _)| format!("{first}. Nothing was changed."));
        wrong
    }
}

/// Refusals are fragments of sentences.
pub(super) fn capitalised(text: &str) -> String {
    let text = text.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;
    use crate::error::body::FieldError;

    #[test]
    fn a_refusal_stands_beside_the_field_that_it_names() {
        let failure = Failure::invalid_request("expires_at lies in the past.");
        let wrong = Wrong::refused(&failure, &["name", "expires_at"]);
        assert_eq!(wrong.of("expires_at"), Some("Expires at lies in the past."));
        assert!(wrong.of("name").is_none() && wrong.whole().is_some());
        let wrong = Wrong::refused(&Failure::invalid_request("namesake"), &["name"]);
        assert_eq!((wrong.of("name"), wrong.whole()), (None, Some("Namesake")));
        let outside = Failure::new(StatusCode::CONFLICT, "x", "Too wide. budgets: a. budgets: b.");
        let outside =
            outside.in_fields(["A.", "B."].map(|why| FieldError { field: "budgets", detail: why.into() }));
        let wrong = Wrong::refused(&outside, &[]);
        assert_eq!(
            (wrong.of("budgets"), wrong.whole()),
            (Some("A. B."), Some("Too wide. Nothing was changed."))
        );
        assert!(Wrong::default().is_nothing() && Wrong::default().whole().is_none());
    }
}
