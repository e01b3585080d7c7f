//! Stacked columns over time: drawn on the server as SVG from the same numbers as the table below them.
//!
//! - Everything that the drawing says the table says too, and the drawing is one image to those who do not see
//!   it. A module lets the arrow keys read one column after the other.
//! - A series keeps its colour from one chart to the next: it follows from its name. Where two names of one
//!   chart want the same colour the later one, by name, takes the next that is free. What is left over is hatched.
//! - Lines of the background between columns and layers keep neighbours apart whatever their colours are.

mod colours;
mod scale;

use maud::{Markup, html};
use nemo_events::Nanos;

use super::money::total;
use super::{Column, table};
use crate::figures::money;
use colours::Colour;
use scale::Scale;

/// Height of the drawing in its own units; its width is one for each column.
const HEIGHT: i64 = 1000;
/// The most series with a colour of their own; the others are drawn as one.
pub const SERIES_MAX: usize = 8;

/// One layer of every column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Where more is told of it.
    pub href: Option<String>,
    /// Its amount in each column.
    pub amounts: Vec<Nanos>,
}

/// One column's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Below the column, where there is room: `11-22`.
    pub short: String,
    /// In full: `2026-11-22`.
    pub full: String,
}

/// Stacked columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart<'a> {
    /// Unique on its page.
    pub id: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// What a layer is: `Job`.
    pub layer: &'static str,
    /// The columns, the earliest first.
    pub moments: Vec<Moment>,
    /// The layers: the largest first, at most [`SERIES_MAX`].
    pub series: Vec<Series>,
    /// All other layers, added up: what they are called, and their amounts.
    pub rest: Option<Series>,
}

/// A layer on its way into the drawing.
struct Layer<'a> {
    series: &'a Series,
    colour: Colour,
}

impl Chart<'_> {
    /// The chart, its legend, and its table.
    #[must_use]
    pub fn show(&self) -> Markup {
        let layers = self.layers();
        let sums: Vec<Nanos> =
            (0..self.moments.len()).map(|at| sum(layers.iter().map(|l| l.at(at)))).collect();
        let scale = Scale::over(sums.iter().copied().max().unwrap_or_default());
        let whole = sum(sums.iter().copied());
        let said = format!("{} days, total {}.", self.moments.len(), money::total(whole));
        html! {
            figure .chart data-chart {
                div .plot role="group" aria-label=(self.title) {
                    div .amounts aria-hidden="true" {
                        span { (money::total(scale.top())) } span { (money::total(scale.middle())) } span { "$0.00" }
                    }
                    (self.drawing(&layers, &sums, &scale, &said))
                    div .moments aria-hidden="true" {
                        @for moment in &self.moments { span { span { (moment.short) } } }
                    }
                }
                figcaption {
                    p { output .reading data-reading=(said) { (said) } " " span data-keys hidden { "Use the arrow keys to read each day." } }
                    ul .legend {
                        @for layer in &layers {
                            li {
                                svg .swatch viewBox="0 0 10 10" aria-hidden="true" { rect .(layer.colour.class()) width="10" height="10" rx="2" {} }
                                @if let Some(href) = &layer.series.href { a href=(href) { (layer.series.name) } }
                                @else { (layer.series.name) }
                            }
                        }
                    }
                    details .as-table {
                        summary { "Show as table" }
                        (self.table(&layers, &sums, whole))
                    }
                }
            }
        }
    }

    fn layers(&self) -> Vec<Layer<'_>> {
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        let coloured = self.series.iter().zip(colours::of(&names));
        let rest = self.rest.iter().map(|series| Layer { series, colour: Colour::REST });
        coloured.map(|(series, colour)| Layer { series, colour }).chain(rest).collect()
    }

    fn drawing(&self, layers: &[Layer<'_>], sums: &[Nanos], scale: &Scale, said: &str) -> Markup {
        // Ten units for each column, two of them air.
        let width = self.moments.len().saturating_mul(10);
        let (title_id, text_id) = (format!("{}-title", self.id), format!("{}-text", self.id));
        html! {
            svg .columns role="img" aria-labelledby={ (title_id) " " (text_id) } preserveAspectRatio="none"
                viewBox={ "0 0 " (width) " " (HEIGHT) } {
                title id=(title_id) { (self.title) }
                desc id=(text_id) { (said) " The table below holds every amount." }
                defs {
                    pattern #hatch width="4" height="24" patternUnits="userSpaceOnUse" {
                        rect .rest-ground width="4" height="24" {}
                        rect .rest-line width="4" height="12" {}
                    }
                }
                line .grid-line x1="0" x2=(width) y1="0" y2="0" {}
                line .grid-line x1="0" x2=(width) y1=(HEIGHT / 2) y2=(HEIGHT / 2) {}
                line .grid-line.zero x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
                @for (at, (moment, sum)) in self.moments.iter().zip(sums).enumerate() {
                    g .column data-says=(says(moment, *sum, layers, at)) {
                        rect .whole-column x=(at * 10) y="0" width="10" height=(HEIGHT) {}
                        @for (colour, top, height) in stacked(layers, at, scale) {
                            rect .layer.(colour.class()) x=(at * 10 + 1) y=(top) width="8" height=(height) {}
                        }
                    }
                }
            }
        }
    }

    fn table(&self, layers: &[Layer<'_>], sums: &[Nanos], whole: Nanos) -> Markup {
        // Headings are given, so the table is written out here.
        let rows = html! {
            @for (at, (moment, sum)) in self.moments.iter().zip(sums).enumerate() {
                @for layer in layers.iter().filter(|layer| layer.at(at) != Nanos::ZERO) {
                    tr { td .nowrap { (moment.full) } td .anywhere { (layer.series.name) } td .number { (total(layer.at(at))) } }
                }
                @if layers.iter().filter(|layer| layer.at(at) != Nanos::ZERO).count() != 1 {
                    tr .sum { td .nowrap { (moment.full) } td { "All" } td .number { (total(*sum)) } }
                }
            }
            tr .sum { th scope="row" { "Total" } td {} td .number { (total(whole)) } }
        };
        let columns = [Column::text("Day"), Column::text(self.layer), Column::number("Spend")];
        table(self.title, &columns, &rows)
    }
}

impl Layer<'_> {
    fn at(&self, at: usize) -> Nanos {
        self.series.amounts.get(at).copied().unwrap_or_default()
    }
}

/// The layers of a column from the bottom up: colour, top, height. Tops are rounded, not heights, so that layers
/// touch and the column is as high as its sum.
fn stacked(layers: &[Layer<'_>], at: usize, scale: &Scale) -> Vec<(Colour, i64, i64)> {
    let (mut below, mut bottom) = (Nanos::ZERO, HEIGHT);
    let mut drawn = Vec::with_capacity(layers.len());
    for layer in layers {
        below = sum([below, layer.at(at)]);
        let top = HEIGHT.saturating_sub(scale.height(below, HEIGHT));
        if top < bottom {
            drawn.push((layer.colour, top, bottom.saturating_sub(top)));
            bottom = top;
        }
    }
    drawn
}

/// What is read out of a column.
fn says(moment: &Moment, sum: Nanos, layers: &[Layer<'_>], at: usize) -> String {
    let mut text = format!("{}: {}", moment.full, money::total(sum));
    for (place, layer) in layers.iter().filter(|layer| layer.at(at) != Nanos::ZERO).enumerate() {
        text.push_str(if place == 0 { ". " } else { ", " });
        text.push_str(&layer.series.name);
        text.push(' ');
        text.push_str(&money::total(layer.at(at)));
    }
    text.push('.');
    text
}

/// A sum for a drawing: what does not fit is drawn as high as fits.
fn sum(amounts: impl IntoIterator<Item = Nanos>) -> Nanos {
    amounts.into_iter().fold(Nanos::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(Nanos::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(amounts: &[i64]) -> Vec<Nanos> {
        amounts.iter().map(|dollars| Nanos::from_nanos(dollars * 1_000_000_000)).collect()
    }

    fn chart() -> Chart<'static> {
        let series = |name: &str, amounts: &[i64]| Series {
            name: name.to_owned(),
            href: None,
            amounts: dollars(amounts),
        };
        let moment = |day: &str| Moment { short: day.to_owned(), full: format!("2026-{day}") };
        Chart {
            id: "spend",
            title: "Spend by job",
            layer: "Job",
            moments: vec![moment("11-21"), moment("11-22")],
            series: vec![series("nightly", &[20, 30]), series("<img src=x onerror=alert(1)>", &[5, 0])],
            rest: Some(series("Other (3 jobs)", &[0, 7])),
        }
    }

    #[test]
    fn the_drawing_and_the_table_say_the_same() {
        let html = chart().show().into_string();
        assert!(html.contains("2 days, total $62.00."), "{html}");
        assert!(html.contains("2026-11-22: $37.00. nightly $30.00, Other (3 jobs) $7.00."), "{html}");
        for amount in ["$20.00", "$30.00", "$5.00", "$7.00", "$25.00", "$37.00", "$62.00"] {
            assert!(html.split("<table").nth(1).is_some_and(|table| table.contains(amount)), "{amount}");
        }
        assert!(!html.contains("<img") && !html.contains("style="), "{html}");
    }

    #[test]
    fn a_column_is_as_high_as_its_sum_and_its_layers_touch() {
        let chart = chart();
        let layers = chart.layers();
        let scale = Scale::over(Nanos::from_nanos(37_000_000_000));
        let drawn = stacked(&layers, 1, &scale);
        let height: i64 = drawn.iter().map(|(_, _, height)| height).sum();
        assert_eq!(height, scale.height(Nanos::from_nanos(37_000_000_000), HEIGHT));
        let bottoms = drawn.iter().map(|(_, top, height)| top + height);
        let tops = std::iter::once(HEIGHT).chain(drawn.iter().map(|(_, top, _)| *top));
        assert!(bottoms.zip(tops).all(|(bottom, top_below)| bottom == top_below), "{drawn:?}");
    }

    #[test]
    fn an_empty_chart_is_drawn_too() {
        let chart = Chart { series: Vec::new(), rest: None, ..chart() };
        assert!(chart.show().into_string().contains("2 days, total $0.00."));
    }
}
