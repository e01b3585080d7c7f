//! The page as a test reads it.

use std::collections::BTreeMap;

use crate::harness::{Answer, Nemo};

/// Names with their labels, and their numbers as they were written.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    samples: BTreeMap<String, String>,
    pub(super) text: String,
}

impl Page {
    /// Asks for the page, without any key, and checks its form.
    pub(crate) async fn of(nemo: &Nemo) -> Page {
        let answer = Answer::of(nemo.http().get(nemo.url("/metrics"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        );
        let text = answer.text().to_owned();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, number) = line.rsplit_once(' ').unwrap();
            assert!(number == "NaN" || number.parse::<f64>().is_ok(), "{line}");
            assert_eq!(samples.insert(name.to_owned(), number.to_owned()), None, "twice: {line}");
        }
        Page { samples, text }
    }

    /// The whole number of a name with these labels, whatever its other labels are; 0 if there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> i128 {
        self.of_name(name, labels).map(|(_, number)| number.parse::<i128>().unwrap()).sum()
    }

    /// The number of the only line of this name.
    pub(crate) fn real(&self, name: &str) -> f64 {
        self.samples.get(name).unwrap_or_else(|| panic!("no {name}: {}", self.text)).parse().unwrap()
    }

    /// The lines of a name, with their numbers.
    pub(crate) fn text_of(&self, name: &str) -> Vec<String> {
        self.of_name(name, &[]).map(|(sample, number)| format!("{sample} {number}")).collect()
    }

    /// The lines, without their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }

    /// The names that are there, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap())
    }

    fn of_name<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = (&'a String, &'a String)> {
        self.samples.iter().filter(move |(sample, _)| {
            let (found, rest) = sample.split_once('{').unwrap_or((sample, ""));
            let has = |(label, value): &(&str, &str)| {
                let wanted = format!("{label}=\"{value}\"");
                rest.trim_end_matches('}').split(',').any(|pair| pair == wanted)
            };
            found == name && labels.iter().all(has)
        })
    }
}
