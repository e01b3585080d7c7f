//! What the ledger's refusals and errors are called over HTTP, one by one: a new refusal does not compile
//! before it has its status and its words here.

use actix_web::http::StatusCode;
use nemo_projections::Refusal;
use nemo_projections::bounds::Wider;
use nemo_projections::key::SECRETS_KEPT;
use nemo_projections::refusal::{BudgetOwner, BudgetShort, PriceRefusal};

use super::Failure;
use super::body::FieldError;
use crate::ledger::ExecuteError;

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        use Refusal as R;
        let code = refusal.code();
        let unauthorized = |why: &str| Self::new(StatusCode::UNAUTHORIZED, code, why);
        let forbidden = |why: String| Self::new(StatusCode::FORBIDDEN, code, why);
        let bad = |why: String| Self::new(StatusCode::BAD_REQUEST, code, why);
        let missing = |why: &str| Self::new(StatusCode::NOT_FOUND, code, why);
        let clash = |why: String| Self::new(StatusCode::CONFLICT, code, why);
        let slow = |why: String| Self::new(StatusCode::TOO_MANY_REQUESTS, code, why);
        match refusal {
            R::InvalidKey => unauthorized("The API key is not a key of this gateway."),
            R::Revoked => unauthorized("The key was revoked. It will not work again: ask for a new one."),
            R::SecretRotated => unauthorized("This secret of the key was replaced. Use the new one."),
            R::Expired => unauthorized("The key has expired. Ask for a new one, or for a later expiry."),
            R::Blocked => forbidden("The key is blocked until an operator unblocks it.".into()),
            R::OrgSuspended => forbidden("The key's org is suspended until an operator resumes it.".into()),
            R::OrgArchived => forbidden("The org is archived.".into()),
            R::AddressNotAllowed => forbidden("The key may not be used from this address.".into()),
            R::EndpointNotAllowed(endpoint) => forbidden(format!("The key may not call `{endpoint}`.")),
            R::ModelNotAllowed(model) => forbidden(format!("The key may not call the model `{model}`.")).about("model"),
            R::ModelFlagged(model) => forbidden(format!(
                "The provider billed more for `{model}` than its limits allow. An operator must clear the model \
                 for this key."
            ))
            .about("model"),
            R::IdempotencyKeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                code,
                "This `Idempotency-Key` was sent with another body within 24 hours. Use a new one for each request.",
            )
            .about("Idempotency-Key"),
            R::CallRunning(call) => clash(format!(
                "The call {call} was made with this `Idempotency-Key` and is still running. It was not made again."
            ))
            .about("Idempotency-Key"),
            R::CallAlreadyBilled { call, charged, status } => clash(format!(
                "The call {call} was made with this `Idempotency-Key`, ended {} and is charged ${charged}. It was not \
                 made again, and its answer is not kept.",
                status.map_or_else(|| "without a known answer".to_owned(), |status| format!("with status {status}"))
            ))
            .about("Idempotency-Key"),
            R::Price(PriceRefusal::ModelNotFound) => {
                missing("No configured provider serves this model. GET /v1/models lists those that are.").about("model")
            }
            R::Price(PriceRefusal::ModelNotPriced) => bad(
                "The model has no price, context window or output limit here, so its cost cannot be bounded. The \
                 operator can add a price."
                    .into(),
            )
            .about("model"),
            R::Price(PriceRefusal::NotPriceable(what)) => bad(format!("The call's cost cannot be bounded: {what}.")),
            R::OutputLimitTooHigh { asked, model_max } => {
                bad(format!("The output limit of {asked} tokens is above the model's {model_max}.")).about("max_tokens")
            }
            R::CallTooDear { needed, limit } => Self::new(
                StatusCode::PAYMENT_REQUIRED,
                code,
                format!("The call may cost up to ${needed}; the key allows ${limit} for one call."),
            ),
            R::Concurrency { limit } => {
                slow(format!("The key allows {limit} calls at the same time.")).retry_after_micros(1_000_000)
            }
            R::RequestRate { limit, retry_after_micros } => {
                slow(format!("The key allows {limit} requests per minute.")).retry_after_micros(*retry_after_micros)
            }
            R::TokenRate { limit, retry_after_micros } => {
                slow(format!("The key allows {limit} tokens per minute.")).retry_after_micros(*retry_after_micros)
            }
            R::TokensAboveRate { needed, limit } => bad(format!(
                "The call may use {needed} tokens; the key allows {limit} per minute. Lower the output limit."
            )),
            R::BudgetExceeded(short) => Self::new(StatusCode::PAYMENT_REQUIRED, code, budget_text(short)),
            R::BudgetHeld(short) => slow(format!(
                "{} ${} of it is held by calls in flight and may come free.",
                budget_text(short),
                short.held
            ))
            .retry_after_micros(1_000_000),
            R::Allotment(_) => Self::ledger_unavailable("the org's budgets are being asked by too many at once"),
            R::KeyExists => clash("A key with this id exists already.".into()),
            R::KeyUnknown => missing("There is no such key."),
            R::OrgUnknown(org) => missing(&format!("There is no org {org}.")).about("org"),
            R::OrgExists => clash("An org with this id exists already.".into()),
            R::CallUnknown(call) => missing(&format!("There is no call {call}, or it ended long ago.")),
            R::CallNotEnded(call) => clash(format!("The call {call} has not ended yet.")),
            R::CallNotOverdue(call) => clash(format!("The call {call} is not overdue.")),
            R::CorrectionOutOfRange => bad("A correction lies between zero and what the call is charged.".into()),
            R::SecretUnknown(version) => {
                missing(&format!("The key has no earlier secret with version {version}.")).about("version")
            }
            R::TooManySecrets => clash(format!(
                "{SECRETS_KEPT} secrets of the key work already. Retire an earlier one, wait until an overlap ends, \
                 or rotate without an overlap."
            )),
            R::OperatorUnknown => missing("There is no such operator."),
            R::OperatorNameTaken => clash("Another operator has this name. Choose another one.".into()).about("name"),
            R::LastAdmin => clash(
                "This is the last admin: nobody would be left who manages. Make somebody else an admin first.".into(),
            ),
            R::LinkSpent => Self::new(
                StatusCode::GONE,
                code,
                "This link was used already, is too old, or was taken back. Ask an admin for a new one.",
            ),
            R::LoginFailed => unauthorized("The name and the password do not belong together."),
            R::OutsideBounds(wider) => clash(format!(
                "These limits are wider than what the org allows its keys. {} Narrow them, or widen the org's bounds first.",
                in_sentences(wider)
            ))
            .in_fields(wider.iter().map(|Wider { field, bound, instead }| FieldError {
                field,
                detail: capitalised(&format!("{bound} ({instead}).")),
            })),
            R::Invalid(why) => bad(format!("{why}.")),
        }
    }
}

fn in_sentences(wider: &[Wider]) -> String {
    wider.iter().map(|wider| format!("{wider}.")).collect::<Vec<_>>().join(" ")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn budget_text(short: &BudgetShort) -> String {
    let BudgetShort { window, limit, settled, needed, .. } = short;
    let whose = match short.of {
        BudgetOwner::Key => "key",
        BudgetOwner::Org => "org",
    };
    let resets = short.resets_at.map_or_else(String::new, |at| format!(" It resets at {at}."));
    let fits = short
        .output_limit_that_fits
        .map_or_else(String::new, |tokens| format!(" An output limit of {tokens} tokens would fit now."));
    format!(
        "The call may cost up to ${needed}, and the {whose}'s {window} budget of ${limit} has ${settled} spent.{resets}{fits}"
    )
}

impl From<&ExecuteError> for Failure {
    fn from(error: &ExecuteError) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::from(refusal),
            ExecuteError::Unavailable(why) => Self::ledger_unavailable(why),
            ExecuteError::ClockBehind(ms) => {
                Self::ledger_unavailable(&format!("this node's clock is {ms} ms behind the ledger"))
            }
            // The place is for the log and for those who look after the ledger, not for callers.
            ExecuteError::Damaged(_) => Self::ledger_unavailable("it needs an operator's attention"),
        }
    }
}
