//! The ledger as the management API tells it: events, and calls folded from them by rules of the tests' own.

use serde_json::Value;

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Event(pub(super) Value);

impl Event {
    /// Its type, such as `CallSettled`.
    pub(crate) fn kind(&self) -> &str {
        self.0["type"].as_str().unwrap()
    }

    /// What it says.
    pub(crate) fn data(&self) -> &Value {
        &self.0["data"]
    }

    /// Actor, request, call, node and boot.
    pub(crate) fn metadata(&self) -> &Value {
        &self.0["metadata"]
    }

    /// Everything that is told of it.
    pub(crate) fn whole(&self) -> &Value {
        &self.0
    }
}

/// One call: how it was authorised, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Its id.
    pub(crate) id: String,
    /// The data of `CallAuthorized`.
    pub(crate) authorized: Value,
    /// The type of the event that ended it, such as `CallSettled`; empty while it is open.
    pub(crate) end: String,
    /// The data of that event; null while it is open.
    pub(crate) ended: Value,
    /// The data of each `CallCorrected`.
    pub(crate) corrections: Vec<Value>,
}

impl Call {
    /// The calls in a key's events. Fails on two ends, and on an end without a beginning.
    pub(super) fn all(events: &[Event]) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        for event in events {
            let id = event.data()["call"].as_str().unwrap_or_default().to_owned();
            match event.kind() {
                "CallAuthorized" => calls.push(Call::authorized(id, event.data())),
                kind @ ("CallSettled" | "CallVoided" | "CallForfeited") => {
                    let call = Call::find(&mut calls, &id);
                    assert_eq!(call.end, "", "a call ended twice: {events:?}");
                    (call.end, call.ended) = (kind.to_owned(), event.data().clone());
                }
                "CallCorrected" => Call::find(&mut calls, &id).corrections.push(event.data().clone()),
                _ => {}
            }
        }
        calls
    }

    fn authorized(id: String, data: &Value) -> Call {
        Call { id, authorized: data.clone(), end: String::new(), ended: Value::Null, corrections: Vec::new() }
    }

    fn find<'a>(calls: &'a mut [Call], id: &str) -> &'a mut Call {
        calls.iter_mut().find(|call| call.id == id).unwrap_or_else(|| panic!("{id} was never authorised"))
    }

    /// The most it may cost.
    pub(crate) fn hold(&self) -> i128 {
        nanos(&self.authorized["hold"]["amount"])
    }

    /// The part of the hold that its input can cost.
    pub(crate) fn input_hold(&self) -> i128 {
        nanos(&self.authorized["hold"]["input_amount"])
    }

    /// What it is charged now; nothing while it is open.
    pub(crate) fn charged(&self) -> i128 {
        if let Some(corrected) = self.corrections.last() {
            return nanos(&corrected["charged"]);
        }
        match self.end.as_str() {
            "CallSettled" => nanos(&self.ended["cost"]),
            "CallForfeited" => nanos(&self.ended["charged"]),
            _ => 0,
        }
    }

    /// Whether its provider reported more than the hold.
    pub(crate) fn is_over_hold(&self) -> bool {
        self.ended["over_hold"] == true
    }

    /// What an estimate charges for so many bytes of output.
    pub(crate) fn estimate(&self, output_bytes: usize) -> i128 {
        let output = i128::try_from(output_bytes).unwrap() + super::UNSEEN;
        self.hold().min(self.input_hold() + output * super::OUTPUT)
    }
}

/// Nano-dollars of a decimal string of dollars; by arithmetic of the tests' own.
pub(crate) fn nanos(dollars: &Value) -> i128 {
    let text = dollars.as_str().unwrap_or_else(|| panic!("no amount of money: {dollars}"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 9, "finer than a nano-dollar: {text}");
    format!("{whole}{fraction:0<9}").parse().unwrap_or_else(|_| panic!("no amount of money: {text}"))
}
