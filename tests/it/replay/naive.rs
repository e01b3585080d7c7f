//! A key's state by reckoning of the tests' own, and the same read off what the gateway tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{Event, nanos};

/// What is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naive {
    status: String,
    name: String,
    limits: Value,
    spent: i128,
    /// Calls that have not ended, with what they hold.
    open: BTreeMap<String, i128>,
    ended: u64,
    secrets: Vec<String>,
    addresses: BTreeSet<String>,
    models: BTreeSet<String>,
    refused: u64,
}

impl Naive {
    pub(super) fn take(&mut self, event: &Event) {
        let data = event.data();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match event.kind() {
            "KeyCreated" => {
                self.status = "active".to_owned();
                self.name = text(&data["labels"]["name"]);
                self.limits = data["limits"].clone();
                self.secrets.push(text(&data["secret"]["last_four"]));
            }
            "KeyRelabelled" => self.name = text(&data["labels"]["name"]),
            "KeyLimitsSet" => self.limits = data["limits"].clone(),
            "KeyBlocked" => self.status = "blocked".to_owned(),
            "KeyUnblocked" => self.status = "active".to_owned(),
            "KeyRevoked" => self.status = "revoked".to_owned(),
            "KeySecretRotated" => self.secrets.push(text(&data["secret"]["last_four"])),
            "CallAuthorized" => {
                self.open.insert(text(&data["call"]), nanos(&data["hold"]["amount"]));
                self.addresses.extend(data["client"]["address"].as_str().map(str::to_owned));
                self.models.insert(text(&data["provider_model"]));
            }
            "CallSettled" => self.end(&text(&data["call"]), nanos(&data["cost"])),
            "CallVoided" => self.end(&text(&data["call"]), 0),
            "CallForfeited" => self.end(&text(&data["call"]), nanos(&data["charged"])),
            "CallCorrected" => self.spent += nanos(&data["charged"]) - nanos(&data["charged_before"]),
            "CallsRefused" => {
                let counts = data["refusals"].as_array().unwrap().iter();
                self.refused += counts.map(|refusal| refusal["count"].as_u64().unwrap()).sum::<u64>();
            }
            other => panic!("nobody reckons with {other}"),
        }
    }

    fn end(&mut self, call: &str, charged: i128) {
        self.open.remove(call).expect("it was open");
        self.ended += 1;
        self.spent += charged;
    }

    /// The same, as the gateway tells it.
    pub(super) fn told(key: &Value) -> Naive {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let used = &key["attribution"];
        let total = list(&key["windows"]).into_iter().find(|window| window["window"] == "total").unwrap();
        let open: BTreeMap<_, _> = list(&key["open_calls"]["calls"])
            .iter()
            .map(|call| (text(&call["id"]), nanos(&call["hold"])))
            .collect();
        assert_eq!(nanos(&total["held"]), open.values().sum::<i128>(), "{key}");
        assert_eq!(total["settled"], used["total"]["spend"], "{key}");
        for budget in list(&key["budgets"]) {
            let sum = ["settled", "held", "free"].map(|part| nanos(&budget[part])).iter().sum::<i128>();
            assert_eq!(sum, nanos(&budget["limit"]), "limit = spent + held + free: {budget}");
        }
        Naive {
            status: text(&key["status"]),
            name: text(&key["labels"]["name"]),
            limits: key["limits"].clone(),
            spent: nanos(&total["settled"]),
            open,
            ended: used["total"]["calls"].as_u64().unwrap(),
            secrets: list(&key["secrets"]).iter().map(|secret| text(&secret["last_four"])).collect(),
            addresses: list(&used["addresses"]["values"]).iter().map(|seen| text(&seen["value"])).collect(),
            models: list(&used["models"]).iter().map(|model| text(&model["model"])).collect(),
            refused: list(&used["refusals"]).iter().map(|refusal| refusal["count"].as_u64().unwrap()).sum(),
        }
    }
}
