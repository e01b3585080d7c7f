//! The provider's own bill, by its own arithmetic: nano-dollars in `i128`, rounded up once per call. It must
//! never use Nemo's money or price code, since it is what Nemo's ledger is checked against.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock;

/// Prices in dollars per million tokens, as decimal text with at most 9 digits after the point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsdPerMillion<'a> {
    /// Plain prompt tokens.
    pub(crate) input: &'a str,
    /// Prompt tokens that came from the cache.
    pub(crate) cached: &'a str,
    /// Output tokens, reasoning included.
    pub(crate) output: &'a str,
}

/// How far a billed call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Being worked on; the numbers still grow.
    Running,
    /// Everything was generated and the last piece handed to the socket.
    Complete,
    /// Broken off, by the client, by the script or by `stop`.
    Cut,
}

/// One call on the bill, with the tokens really produced.
#[derive(Clone, Debug)]
pub(crate) struct BilledCall {
    /// Index of the request in `FakeProvider::requests`.
    pub(crate) request: u64,
    /// The `x-request-id` of the answer.
    pub(crate) provider_request_id: String,
    /// The provider key that the request carried.
    pub(crate) api_key: String,
    /// The model that the request named.
    pub(crate) model: String,
    /// The `user` member of the body.
    pub(crate) user: Option<String>,
    /// Prompt tokens, cached ones included.
    pub(crate) prompt_tokens: u64,
    /// Cached tokens among them.
    pub(crate) cached_tokens: u64,
    /// Output tokens generated so far over all choices, hidden reasoning included.
    pub(crate) output_tokens: u64,
    /// What it costs so far, in nano-dollars.
    pub(crate) nanos: i128,
    /// How far it has come.
    pub(crate) ending: Ending,
    rates: Rates,
}

/// The bill at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill {
    /// Every billed call, in order of arrival.
    pub(crate) calls: Vec<BilledCall>,
}

impl Bill {
    /// The sum in nano-dollars.
    pub(crate) fn total(&self) -> i128 {
        self.calls.iter().map(|call| call.nanos).sum()
    }

    /// The sum for one `user`.
    pub(crate) fn for_user(&self, user: &str) -> i128 {
        self.of_user(user).map(|call| call.nanos).sum()
    }

    /// The calls of one `user`.
    pub(crate) fn of_user(&self, user: &str) -> impl Iterator<Item = &BilledCall> {
        self.calls.iter().filter(move |call| call.user.as_deref() == Some(user))
    }

    /// Sums by `user`; calls without one under `""`.
    pub(crate) fn by_user(&self) -> BTreeMap<String, i128> {
        self.sums(|call| call.user.clone().unwrap_or_default())
    }

    /// Sums by provider key.
    pub(crate) fn by_api_key(&self) -> BTreeMap<String, i128> {
        self.sums(|call| call.api_key.clone())
    }

    /// How many calls are at this stage.
    pub(crate) fn count(&self, ending: Ending) -> usize {
        self.calls.iter().filter(|call| call.ending == ending).count()
    }

    fn sums(&self, name: impl Fn(&BilledCall) -> String) -> BTreeMap<String, i128> {
        self.calls.iter().fold(BTreeMap::new(), |mut sums, call| {
            *sums.entry(name(call)).or_default() += call.nanos;
            sums
        })
    }
}

/// Nano-dollars per million tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    input: i128,
    cached: i128,
    output: i128,
}

impl Rates {
    /// `None` if one of the three is no decimal number with at most 9 digits after the point.
    pub(super) fn parse(price: UsdPerMillion<'_>) -> Option<Rates> {
        Some(Rates { input: nanos(price.input)?, cached: nanos(price.cached)?, output: nanos(price.output)? })
    }

    /// Rounds up once, at the end.
    fn amount(&self, call: &BilledCall) -> i128 {
        let plain = i128::from(call.prompt_tokens) - i128::from(call.cached_tokens);
        let millionths = plain * self.input
            + i128::from(call.cached_tokens) * self.cached
            + i128::from(call.output_tokens) * self.output;
        (millionths + 999_999) / 1_000_000
    }
}

fn nanos(dollars: &str) -> Option<i128> {
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<9}").parse().ok()
}

/// What a call starts with; the numbers of [`BilledCall`].
#[derive(Debug)]
pub(super) struct NewCall {
    pub(super) request: u64,
    pub(super) api_key: String,
    pub(super) model: String,
    pub(super) user: Option<String>,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
}

/// Price table and billed calls.
#[derive(Debug, Default)]
pub(super) struct Books {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rates: BTreeMap<String, Rates>,
    rates_for_others: Option<Rates>,
    calls: Vec<BilledCall>,
}

impl Books {
    /// Sets the price of one model, or (`None`) of every model without one of its own.
    pub(super) fn set_price(&self, model: Option<&str>, rates: Rates) {
        let mut inner = lock(&self.inner);
        match model {
            Some(model) => drop(inner.rates.insert(model.to_owned(), rates)),
            None => inner.rates_for_others = Some(rates),
        }
    }

    pub(super) fn has_model(&self, model: &str) -> bool {
        let inner = lock(&self.inner);
        inner.rates_for_others.is_some() || inner.rates.contains_key(model)
    }

    pub(super) fn models(&self) -> Vec<String> {
        lock(&self.inner).rates.keys().cloned().collect()
    }

    pub(super) fn bill(&self) -> Bill {
        Bill { calls: lock(&self.inner).calls.clone() }
    }

    pub(super) fn total(&self) -> i128 {
        lock(&self.inner).calls.iter().map(|call| call.nanos).sum()
    }

    /// Puts a call on the bill, for its prompt at first.
    pub(super) fn open(self: &Arc<Self>, new: NewCall) -> OpenCall {
        let mut inner = lock(&self.inner);
        let rates = inner.rates.get(&new.model).copied().or(inner.rates_for_others).unwrap_or_default();
        let mut call = BilledCall {
            request: new.request,
            provider_request_id: provider_request_id(new.request),
            api_key: new.api_key,
            model: new.model,
            user: new.user,
            prompt_tokens: new.prompt_tokens,
            cached_tokens: new.cached_tokens.min(new.prompt_tokens),
            output_tokens: 0,
            nanos: 0,
            ending: Ending::Running,
            rates,
        };
        call.nanos = rates.amount(&call);
        inner.calls.push(call);
        OpenCall { books: Arc::clone(self), at: inner.calls.len() - 1 }
    }

    fn change(&self, at: usize, change: impl FnOnce(&mut BilledCall)) {
        if let Some(call) = lock(&self.inner).calls.get_mut(at) {
            change(call);
            call.nanos = call.rates.amount(call);
        }
    }
}

/// The `x-request-id` that answers this request.
pub(super) fn provider_request_id(request: u64) -> String {
    format!("req_fake_{request}")
}

/// A call being worked on. Dropped without an end it is cut, so no path out of the code leaves it running.
#[derive(Debug)]
pub(super) struct OpenCall {
    books: Arc<Books>,
    at: usize,
}

impl OpenCall {
    pub(super) fn generated(&self, tokens: u64) {
        if tokens > 0 {
            self.books.change(self.at, |call| call.output_tokens = call.output_tokens.saturating_add(tokens));
        }
    }

    pub(super) fn end(&self, ending: Ending) {
        self.books.change(self.at, |call| call.ending = ending);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.books.change(self.at, |call| {
            if call.ending == Ending::Running {
                call.ending = Ending::Cut;
            }
        });
    }
}
