//! What must hold at every depth of a body: no key twice in an object, Unicode only, not too deep.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::object::{Text, unescaped};
use super::{BodyError, MAX_DEPTH, shown};

/// Looks into a member's value, whose syntax is known to be right.
///
/// First with serde_json's own numbers, in one pass. That fails at a number beyond `f64` (`1e400`), which is
/// JSON all the same; then once more with numbers left as text, which reads each level again: 64 times the
/// text at worst, so large texts get 16 times at most and are then too deep.
pub(super) fn check(raw: &str, name: &str) -> Result<(), BodyError> {
    if !raw.starts_with(['{', '[', '"']) {
        return Ok(());
    }
    const PASSES: usize = 16;
    const AT_LEAST: usize = 1024 * 1024;
    let work = raw.len().saturating_mul(PASSES).max(AT_LEAST);
    let notes = Notes { fault: RefCell::new(None), work: Cell::new(work) };
    for numbers in [Numbers::Parsed, Numbers::AsText] {
        let looked = serde_json::Deserializer::from_str(raw).deserialize_any(Look {
            depth: 2,
            numbers,
            notes: &notes,
        });
        if looked.is_ok() {
            return Ok(());
        }
        if let Some(fault) = notes.fault.borrow_mut().take() {
            let path: String =
                std::iter::once(name).chain(fault.path.iter().rev().map(String::as_str)).collect();
            let path = shown(&path);
            return Err(match fault.kind {
                FaultKind::Duplicate => BodyError::DuplicateKey { path },
                FaultKind::Depth => BodyError::TooDeep { path },
                FaultKind::Unicode => BodyError::NotUnicode { path },
            });
        }
    }
    Err(BodyError::NotUnicode { path: shown(name) })
}

/// What a look brings back besides success: serde's errors have no room for it.
struct Notes {
    fault: RefCell<Option<Fault>>,
    work: Cell<usize>,
}

struct Fault {
    kind: FaultKind,
    /// From the innermost outwards.
    path: Vec<String>,
}

enum FaultKind {
    Duplicate,
    Depth,
    Unicode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    Parsed,
    AsText,
}

#[derive(Clone, Copy)]
struct Look<'n> {
    /// The depth of the value, were it an object or array.
    depth: usize,
    numbers: Numbers,
    notes: &'n Notes,
}

impl Look<'_> {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth > MAX_DEPTH {
            return Err(self.fault(FaultKind::Depth, None));
        }
        Ok(Self { depth: self.depth.saturating_add(1), ..self })
    }

    fn fault<E: Error>(self, kind: FaultKind, step: Option<String>) -> E {
        *self.notes.fault.borrow_mut() = Some(Fault { kind, path: step.into_iter().collect() });
        E::custom("refused")
    }

    /// Adds a step to the path of a fault on its way out.
    fn within<E: Error>(self, error: E, step: impl FnOnce() -> String) -> E {
        if let Some(fault) = self.notes.fault.borrow_mut().as_mut() {
            fault.path.push(step());
        }
        error
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.numbers == Numbers::Parsed {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let Some(left) = self.notes.work.get().checked_sub(raw.len()) else {
            return Err(self.fault(FaultKind::Depth, None));
        };
        self.notes.work.set(left);
        match raw.bytes().next() {
            Some(b'{' | b'[') => {
                serde_json::Deserializer::from_str(raw).deserialize_any(self).map_err(D::Error::custom)
            }
            Some(b'"') if unescaped(raw).is_none() => Err(self.fault(FaultKind::Unicode, None)),
            _ => Ok(()),
        }
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut keys = Keys::default();
        while let Some(Text(key)) = map.next_key()? {
            if !keys.insert(key.clone()) {
                return Err(self.fault(FaultKind::Duplicate, Some(format!(".{key}"))));
            }
            map.next_value_seed(inside).map_err(|error| self.within(error, || format!(".{key}")))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut index = 0_usize;
        while seq
            .next_element_seed(inside)
            .map_err(|error| self.within(error, || format!("[{index}]")))?
            .is_some()
        {
            index = index.saturating_add(1);
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The keys of one object: a list while they are few, as they nearly always are.
#[derive(Default)]
pub(super) struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// Whether the key is new.
    pub(super) fn insert(&mut self, key: Cow<'a, str>) -> bool {
        const FEW: usize = 16;
        if self.many.is_empty() && self.few.len() < FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(key)
    }
}
