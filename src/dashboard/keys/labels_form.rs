//! Labels as fields of a form.

use maud::{Markup, html};
use nemo_events::key::Labels;

use super::wrong::Wrong;
use crate::dashboard::Fields;
use crate::dashboard::components::Field;

/// Names of the fields, as refusals name them.
pub(super) const NAMES: [&str; 6] = ["name", "app", "job", "env", "cost_centre", "tags"];

/// The fields of labels that are there.
pub(super) fn fields_of(labels: &Labels) -> Fields {
    let Labels { name, app, job, env, cost_centre, tags } = labels.clone();
    Fields::of([
        ("name", name),
        ("app", app.unwrap_or_default()),
        ("job", job.unwrap_or_default()),
        ("env", env.unwrap_or_default()),
        ("cost_centre", cost_centre.unwrap_or_default()),
        ("tags", tags.join(", ")),
    ])
}

/// The labels that a form states.
pub(super) fn read(sent: &Fields) -> Labels {
    let tags = sent.as_sent("tags").split([',', '\n']).map(str::trim).filter(|tag| !tag.is_empty());
    Labels {
        name: sent.text("name").to_owned(),
        app: sent.given("app"),
        job: sent.given("job"),
        env: sent.given("env"),
        cost_centre: sent.given("cost_centre"),
        tags: tags.map(str::to_owned).collect(),
    }
}

/// The fields.
pub(super) fn show(sent: &Fields, wrong: &Wrong) -> Markup {
    let field = |name: &'static str, label: &'static str, placeholder: &'static str| {
        let (value, wrong) = (sent.as_sent(name), wrong.of(name));
        Field { name, label, placeholder, value, wrong, maxlength: Some(128), ..Field::default() }
    };
    html! {
        (Field {
            required: true,
            hint: "What people will call it. One key for each job keeps a leak small.",
            ..field("name", "Name", "nightly-report")
        }.show())
        div .row {
            (field("app", "App", "mailer").show())
            (field("job", "Job", "summaries").show())
            (field("env", "Environment", "prod").show())
            (field("cost_centre", "Cost centre", "").show())
        }
        (Field { maxlength: None, hint: "Separated by commas.", ..field("tags", "Tags", "") }.show())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_their_form() {
        let labels = Labels {
            name: "a <b>".into(),
            app: Some("x".into()),
            tags: vec!["one".into(), "two words".into()],
            ..Labels::default()
        };
        assert_eq!(read(&fields_of(&labels)), labels);
        assert_eq!(read(&Fields::parse("name=+a+&tags=,a,,b%0A")).tags, ["a", "b"]);
    }
}
