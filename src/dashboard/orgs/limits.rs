//! The limits that an org's new keys get. What the form does not show stays as it is.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpResponse;
use maud::{Markup, html};
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::org::OrgLimits;
use nemo_events::{Nanos, OrgId};
use nemo_projections::OrgState;
use nemo_projections::decide::SetOrgLimits;

use super::{FormPage, org_of, shown_in_form};
use crate::auth::session::Viewer;
use crate::dashboard::components::Field;
use crate::dashboard::{Fields, Shows, Visit, see_other};
use crate::error::Failure;

/// The form with what is in force.
pub(in crate::dashboard) async fn limits_form(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let entered = entered(org.answer.limits.key_defaults.as_ref());
    Ok(shown(&visit.viewer, id, &org.answer, &entered, &[], None))
}

/// Sets them.
pub(in crate::dashboard) async fn set_limits(visit: Visit, fields: Fields) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let org = org.answer;
    let key_defaults = match read(&fields, org.limits.key_defaults.as_ref()) {
        Ok(limits) => limits,
        Err(wrong) => return Ok(shown(&visit.viewer, id, &org, &fields, &wrong, None)),
    };
    let limits = OrgLimits { key_defaults, ..org.limits.clone() };
    match visit.asked.manage_org(id, SetOrgLimits { limits }).await {
        Ok(_) => Ok(see_other(&format!("/orgs/{id}"))),
        Err(reply) => Ok(shown(&visit.viewer, id, &org, &fields, &[], Some(&shown_in_form(reply)?))),
    }
}

/// A field and what is wrong with it.
type Wrong = (&'static str, String);

/// Fields of budgets, in the order in which they stand.
const BUDGETS: [(&str, &str, WindowKind); 4] = [
    ("day", "Each day", WindowKind::Day),
    ("week", "Each week", WindowKind::Week),
    ("month", "Each month", WindowKind::Month),
    ("total", "In all", WindowKind::Total),
];

/// What the form says; `None` where nothing was entered: no defaults.
fn read(fields: &Fields, before: Option<&KeyLimits>) -> Result<Option<KeyLimits>, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let mut limits = before.cloned().unwrap_or_default();
    let alert = |kind| before.iter().flat_map(|limits| &limits.budgets).find(|budget| budget.window == kind);
    limits.budgets = Vec::new();
    for (name, _, window) in BUDGETS {
        if let Some(limit) = number::<Nanos>(fields, name, "Dollars, such as 2.50.", &mut wrong) {
            let alert_at_percent = alert(window).and_then(|budget| budget.alert_at_percent);
            limits.budgets.push(Budget { window, limit, alert_at_percent });
        }
    }
    limits.unlimited = limits.unlimited && limits.budgets.is_empty();
    limits.max_call_cost = number(fields, "call", "Dollars, such as 0.50.", &mut wrong);
    limits.requests_per_minute = number(fields, "requests", WHOLE, &mut wrong);
    limits.tokens_per_minute = number(fields, "tokens", WHOLE, &mut wrong);
    limits.concurrent_calls = number(fields, "concurrent", WHOLE, &mut wrong);
    let models: Vec<String> =
        fields.text("models").split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    limits.models = (!models.is_empty()).then_some(models);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok((limits != KeyLimits::default()).then_some(limits))
}

const WHOLE: &str = "A whole number above zero.";

fn number<T: FromStr>(fields: &Fields, name: &'static str, how: &str, wrong: &mut Vec<Wrong>) -> Option<T> {
    let text = fields.given(name)?.trim_start_matches('$').replace(',', "");
    let number = text.parse().ok();
    if number.is_none() {
        wrong.push((name, how.to_owned()));
    }
    number
}

/// The form's fields for limits that are in force.
fn entered(limits: Option<&KeyLimits>) -> Fields {
    let Some(limits) = limits else { return Fields::default() };
    let budget = |kind| text(limits.budgets.iter().find(|b| b.window == kind).map(|b| b.limit));
    let [day, week, month, in_all] = BUDGETS.map(|(_, _, kind)| budget(kind));
    let entered = [
        ("day", day),
        ("week", week),
        ("month", month),
        ("total", in_all),
        ("call", text(limits.max_call_cost)),
        ("requests", text(limits.requests_per_minute)),
        ("tokens", text(limits.tokens_per_minute)),
        ("concurrent", text(limits.concurrent_calls)),
        ("models", limits.models.as_ref().map(|models| models.join(", ")).unwrap_or_default()),
    ];
    entered.iter().fold(Fields::default(), |fields, (name, value)| fields.with(name, Some(value)))
}

fn text(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn shown(
    viewer: &Viewer,
    id: OrgId,
    org: &OrgState,
    fields: &Fields,
    wrong: &[Wrong],
    refused: Option<&Failure>,
) -> HttpResponse {
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/limits"));
    let form = FormPage {
        title: "Limits that new keys get",
        action: &action,
        back: (&back, &org.name),
        refused,
        fields: inputs(fields, wrong),
        button: html! { button .main { "Set limits" } },
    };
    form.reply(viewer)
}

fn inputs(fields: &Fields, wrong: &[Wrong]) -> Markup {
    let field = |name: &'static str, label: &str, hint: &str, inputmode: &str| {
        let wrong = wrong.iter().find(|(field, _)| *field == name).map(|(_, why)| why.as_str());
        Field { name, label, hint, inputmode, value: fields.text(name), wrong, ..Field::default() }.show()
    };
    html! {
        p { "A key that states limits of its own gets those instead. Keys that exist keep theirs. Leave everything empty for no defaults." }
        fieldset {
            legend { "Budgets, in dollars" }
            div .row { @for (name, label, _) in BUDGETS { (field(name, label, "", "decimal")) } }
            p .hint { "Days, weeks and months are UTC. Where defaults are set at least one budget is needed." }
        }
        div .row {
            (field("call", "One call, dollars", "", "decimal"))
            (field("concurrent", "Calls at the same time", "", "numeric"))
            (field("requests", "Requests per minute", "", "numeric"))
            (field("tokens", "Tokens per minute", "", "numeric"))
        }
        (field("models", "Models", "Names or patterns, such as gpt-5*, with commas between them. Empty: all.", ""))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    #[test]
    fn what_is_in_force_survives_the_form_and_what_it_does_not_show_stays() {
        let limits = KeyLimits {
            budgets: vec![
                Budget { window: WindowKind::Day, limit: "2.5".parse().unwrap(), alert_at_percent: Some(50) },
                Budget { window: WindowKind::Total, limit: "100".parse().unwrap(), alert_at_percent: None },
            ],
            requests_per_minute: Some(60),
            models: Some(vec!["gpt-5*".into(), "o3".into()]),
            default_output_tokens: Some(2000),
            ..KeyLimits::default()
        };
        assert_eq!(read(&entered(Some(&limits)), Some(&limits)), Ok(Some(limits)));
        assert_eq!(read(&Fields::default(), None), Ok(None), "nothing entered is no defaults");
    }

    #[test]
    fn each_wrong_field_is_named() {
        let fields = Fields::parse("day=$1,000.50&month=much&requests=-1");
        let wrong: Vec<_> = read(&fields, None).unwrap_err().into_iter().map(|(name, _)| name).collect();
        assert_eq!(wrong, ["month", "requests"]);
        let fields = Fields::parse("day=$1,000.50");
        let limits = read(&fields, None).unwrap().unwrap();
        assert_eq!(limits.budgets.first().map(|budget| budget.limit.to_string()).as_deref(), Some("1000.5"));
    }
}
