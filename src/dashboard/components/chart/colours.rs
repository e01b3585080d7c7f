//! Which colour a series has: one of the palette in `base.css`, by its name.

/// Colours of the palette, `c1` to `c8`.
const PALETTE: [&str; 8] = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];

/// A colour, by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(&'static str);

impl Colour {
    /// What is left over.
    pub(super) const REST: Self = Self("rest");

    pub(super) const fn class(self) -> &'static str {
        self.0
    }
}

/// The colours of names that stand together, in their order. Up to eight are told apart.
pub(super) fn of(names: &[&str]) -> Vec<Colour> {
    let mut by_name: Vec<usize> = (0..names.len()).collect();
    by_name.sort_by_key(|place| names.get(*place));
    let mut taken = [false; PALETTE.len()];
    let mut colours = vec![Colour::REST; names.len()];
    for place in by_name {
        let wanted = names.get(place).map_or(0, |name| wanted(name));
        let free = (0..PALETTE.len()).map(|step| (wanted + step) % PALETTE.len());
        let colour = free.into_iter().find(|at| taken.get(*at) == Some(&false)).unwrap_or(wanted);
        if let (Some(taken), Some(slot), Some(class)) =
            (taken.get_mut(colour), colours.get_mut(place), PALETTE.get(colour))
        {
            *taken = true;
            *slot = Colour(class);
        }
    }
    colours
}

/// FNV-1a over the name: the same on every machine, today and next year.
fn wanted(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper half is better mixed than the last bits.
    usize::try_from((hash >> 32) % PALETTE.len() as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_keeps_its_colour_in_whatever_company_it_does_not_collide_with() {
        let names = ["nightly-batch", "chat", "embeddings", "summaries", "eval", "search", "ocr", "tests"];
        let together = of(&names);
        let distinct: BTreeSet<_> = together.iter().map(|colour| colour.class()).collect();
        assert_eq!(distinct.len(), names.len(), "eight names have eight colours");
        let reversed: Vec<_> = names.iter().rev().copied().collect();
        let again: Vec<_> = of(&reversed).into_iter().rev().collect();
        assert_eq!(together, again, "their order by amount does not matter");
        let first = of(&["chat"]);
        assert_eq!(first, of(&["chat"]));
    }
}
