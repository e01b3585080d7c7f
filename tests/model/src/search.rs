//! Breadth-first search through all states of a system: the first counterexample found is a shortest one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::Hash;

/// Something that moves in steps, and laws that hold in each of its states.
pub trait System {
    /// A state. Equal states are looked at once.
    type State: Clone + Eq + Hash;
    /// What leads from one to the next, as it is told in a counterexample.
    type Step: Clone + Debug;

    /// Where it begins.
    fn initial(&self) -> Self::State;

    /// Every step that can be taken, with where it leads.
    fn steps(&self, state: &Self::State) -> Vec<(Self::Step, Self::State)>;

    /// The law that this state breaks, if any.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;
}

/// The steps that lead to a state that breaks a law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample<Step> {
    /// The law.
    pub law: &'static str,
    /// From the first step to the one that broke it.
    pub steps: Vec<Step>,
}

/// Looks at every state that can be reached, and returns their number.
///
/// # Errors
/// A shortest way to a state that breaks a law.
pub fn search<S: System>(system: &S) -> Result<usize, Counterexample<S::Step>> {
    let mut seen = HashMap::from([(system.initial(), 0_usize)]);
    let mut came_by: Vec<Option<(usize, S::Step)>> = vec![None];
    let mut layer = vec![(0, system.initial())];
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for (number, state) in layer {
            if let Some(law) = system.broken(&state) {
                return Err(Counterexample { law, steps: way_to(number, &came_by) });
            }
            for (step, next) in system.steps(&state) {
                if let Entry::Vacant(unseen) = seen.entry(next) {
                    next_layer.push((came_by.len(), unseen.key().clone()));
                    unseen.insert(came_by.len());
                    came_by.push(Some((number, step)));
                }
            }
        }
        layer = next_layer;
    }
    Ok(seen.len())
}

fn way_to<Step: Clone>(mut number: usize, came_by: &[Option<(usize, Step)>]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(Some((before, step))) = came_by.get(number) {
        steps.push(step.clone());
        number = *before;
    }
    steps.reverse();
    steps
}
