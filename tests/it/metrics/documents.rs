//! What is written about metrics is true: the reference, the dashboard and the alerts name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use nemo::metrics::{MetricDoc, reference, reference_markdown};
use serde_json::{Value, json};

use super::page::Page;
use crate::harness::Nemo;

const BEGIN: &str = "<!-- generated: the metrics -->\n";
const END: &str = "<!-- end of what is generated -->\n";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names under which a metric's lines stand.
fn lines_of(doc: &MetricDoc) -> Vec<String> {
    match doc.kind {
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", doc.name)).to_vec(),
        _ => vec![doc.name.clone()],
    }
}

fn known_names() -> BTreeSet<String> {
    reference().iter().flat_map(lines_of).collect()
}

/// The words of a text that look like names of metrics.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("nemo_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// To bring the file up to date: `NEMO_TEST_WRITE=1 cargo test --features failpoints --test it metrics::documents`.
#[test]
fn the_reference_of_metrics_is_what_the_code_says() {
    let path = "src/docs/monitoring.md";
    let text = read(path);
    let (before, rest) = text.split_once(BEGIN).expect("a place for the reference");
    let (_, after) = rest.split_once(END).expect("an end of it");
    let generated = format!("{before}{BEGIN}\n{}\n{END}{after}", reference_markdown());
    if std::env::var_os("NEMO_TEST_WRITE").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &generated).unwrap();
    }
    assert_eq!(read(path), generated);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_is_on_the_page_and_none_besides() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    key.chat(json!({"model": "unheard-of"})).await.refused(404, "model_not_found");
    let page = Page::of(&nemo).await;
    let types = page.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: BTreeSet<String> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let documented: BTreeSet<String> = reference().into_iter().map(|doc| doc.name).collect();
    assert_eq!(shown, documented);
    let known = known_names();
    for name in page.names() {
        assert!(known.contains(name), "{name}");
    }
    for line in page.text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, labels)) = line.split_once('{') else { continue };
        let doc =
            reference().into_iter().find(|doc| lines_of(doc).iter().any(|known| known == name)).unwrap();
        let labels =
            labels.rsplit_once('}').unwrap().0.split("\",").map(|label| label.split('=').next().unwrap());
        let labels: Vec<&str> = labels.filter(|label| *label != "le").collect();
        assert_eq!(labels, doc.labels, "{line}");
    }
}

/// A YAML file, read by Python's own reader.
fn yaml(path: &str) -> Value {
    let mut python = crate::sdk::python();
    python.args(["-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"]);
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(read(path).as_bytes()).unwrap();
    let said = python.wait_with_output().unwrap();
    assert!(said.status.success(), "{path} is no YAML");
    serde_json::from_slice(&said.stdout).unwrap()
}

/// The selectors of an expression: a metric, and the labels that it is chosen by.
fn selectors(expr: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for (at, _) in expr.match_indices('{') {
        let end = at + expr[at..].find('}').unwrap_or_else(|| panic!("{expr} closes no brace"));
        let begin =
            expr[..at].rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |it| it + 1);
        let labels = expr[at + 1..end].split("\",").filter(|pair| !pair.is_empty());
        let labels = labels.map(|pair| pair[..pair.find(['=', '!']).unwrap()].trim()).collect();
        found.push((&expr[begin..at], labels));
    }
    found
}

/// Labels that Prometheus adds to whatever it reads.
const ADDED: [&str; 2] = ["job", "instance"];

/// Fails unless each metric in the expression has the labels that it is chosen by.
fn must_choose_by_labels_that_there_are(expr: &str) {
    for (name, labels) in selectors(expr).into_iter().filter(|(name, _)| *name != "up") {
        let doc = reference().into_iter().find(|doc| lines_of(doc).iter().any(|line| line == name));
        let known = doc.unwrap_or_else(|| panic!("{name} is no metric: {expr}")).labels;
        for label in labels {
            assert!(known.contains(&label) || ADDED.contains(&label), "{name} has no {label}: {expr}");
        }
    }
}

#[test]
fn the_alerts_are_rules_that_prometheus_can_load() {
    let rules = yaml("scripts/monitoring/alerts.yml");
    let mut names = BTreeSet::new();
    for rule in
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        let members: BTreeSet<_> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(members.is_subset(&["alert", "expr", "for", "labels", "annotations"].into()), "{rule}");
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with("Nemo") && names.insert(name), "{name} stands there twice");
        let expr = rule["expr"].as_str().unwrap();
        assert_eq!(expr.matches('(').count(), expr.matches(')').count(), "{name}: {expr}");
        assert!(
            !names_in(expr).is_empty() || expr.starts_with("up{"),
            "{name} looks at nothing of ours: {expr}"
        );
        must_choose_by_labels_that_there_are(expr);
        if let Some(span) = rule.get("for") {
            let (number, unit) = span.as_str().unwrap().split_at(span.as_str().unwrap().len() - 1);
            assert!(number.parse::<u32>().is_ok() && ["s", "m", "h"].contains(&unit), "{name}: {span}");
        }
        assert!(["page", "warn", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        for text in ["summary", "description"] {
            let text = rule["annotations"][text].as_str().unwrap();
            assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{name}: {text}");
            assert!(text.len() > 15, "{name}: {text}");
        }
    }
    assert!(names.len() > 10, "{names:?}");
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_there_are() {
    let known = known_names();
    for path in ["scripts/monitoring/dashboard.json", "scripts/monitoring/alerts.yml"] {
        let used = names_in(&read(path));
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
        assert!(used.len() > 8, "{path} looks at something: {used:?}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_import() {
    let dashboard: Value = serde_json::from_str(&read("scripts/monitoring/dashboard.json")).unwrap();
    assert!(dashboard["title"].is_string() && dashboard["uid"].is_string());
    assert!(dashboard["id"].is_null(), "an id belongs to one installation");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["title"].is_string() && panel["gridPos"]["w"].is_u64(), "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].is_string()), "{panel}");
        for target in targets {
            must_choose_by_labels_that_there_are(target["expr"].as_str().unwrap());
        }
        assert!(panel["description"].is_string(), "a panel says what it shows: {panel}");
    }
}
