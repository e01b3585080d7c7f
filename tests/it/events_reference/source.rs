//! The vocabulary as its source has it: streams, events, fields, and what is said of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Fields, Item, ItemEnum, Lit, Meta, MetaNameValue, Token, Type};

/// All of it.
pub(super) struct Vocabulary {
    pub(super) streams: Vec<Stream>,
    /// Every documented type by its name, events included.
    pub(super) items: BTreeMap<String, Described>,
}

/// The events of one kind of stream.
pub(super) struct Stream {
    /// Such as ``What can happen to a virtual key.``
    pub(super) title: String,
    /// The module's own first words.
    pub(super) about: String,
    /// Types with their versions, in the source's order.
    pub(super) events: Vec<(String, u16)>,
    file: String,
}

/// A type.
pub(super) struct Described {
    pub(super) about: String,
    pub(super) shape: Shape,
}

/// What its JSON is.
pub(super) enum Shape {
    Record(Vec<Field>),
    Choice(Vec<Choice>),
}

/// A member of an object.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) about: String,
    /// The type, without what says that it may be absent.
    pub(super) kind: String,
    pub(super) is_optional: bool,
}

/// One of several, by its JSON name.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) fields: Vec<Field>,
}

impl Vocabulary {
    pub(super) fn read(folder: &Path) -> Self {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        let mut vocabulary = Self { streams: Vec::new(), items: BTreeMap::new() };
        for path in paths {
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            for item in &file.items {
                vocabulary.take(item, &file.attrs, path.file_stem().unwrap().to_str().unwrap());
            }
        }
        // What most readers come for is first.
        vocabulary.streams.sort_by_key(|stream| (stream.file != "key", stream.file != "org"));
        vocabulary
    }

    fn take(&mut self, item: &Item, module: &[Attribute], file: &str) {
        match item {
            Item::Macro(found) if found.mac.path.is_ident("event_stream") => {
                let types: ItemEnum = found.mac.parse_body().unwrap();
                let events = types.variants.iter().map(|variant| {
                    let Some((_, Expr::Lit(ExprLit { lit: Lit::Int(version), .. }))) = &variant.discriminant
                    else {
                        panic!("{} has no version", variant.ident)
                    };
                    (variant.ident.to_string(), version.base10_parse().unwrap())
                });
                let (events, file) = (events.collect(), file.to_owned());
                let (title, about) = (said(&types.attrs), said(module));
                self.streams.push(Stream { title, about, events, file });
            }
            Item::Struct(found) if matches!(found.fields, Fields::Named(_)) && is_stored(&found.attrs) => {
                let is_lenient = serde(&found.attrs).iter().any(|option| option.name == "default");
                let shape = Shape::Record(fields(&found.fields, is_lenient));
                self.items.insert(found.ident.to_string(), Described { about: said(&found.attrs), shape });
            }
            Item::Enum(found) if is_stored(&found.attrs) => {
                let options = serde(&found.attrs);
                let tag =
                    options.into_iter().find(|option| option.name == "tag").and_then(|option| option.value);
                let choices = found.variants.iter().map(|variant| Choice {
                    name: named(&variant.ident.to_string(), tag.as_deref()),
                    about: said(&variant.attrs),
                    fields: fields(&variant.fields, false),
                });
                let shape = Shape::Choice(choices.collect());
                self.items.insert(found.ident.to_string(), Described { about: said(&found.attrs), shape });
            }
            _ => {}
        }
    }

    /// Every event with its version.
    pub(super) fn events(&self) -> impl Iterator<Item = &(String, u16)> {
        self.streams.iter().flat_map(|stream| &stream.events)
    }

    /// The fields of an object.
    pub(super) fn fields(&self, name: &str) -> &[Field] {
        match &self.items[name].shape {
            Shape::Record(fields) => fields,
            Shape::Choice(_) => panic!("{name} is no object"),
        }
    }

    /// The types that events are made of, besides the events themselves.
    pub(super) fn parts_of_events(&self) -> BTreeSet<String> {
        let events = self.events().map(|(event, _)| event.clone());
        let mut todo: Vec<String> = events.chain(["Metadata".to_owned()]).collect();
        let mut parts = BTreeSet::new();
        while let Some(name) = todo.pop() {
            let used: Vec<&Field> = match &self.items[&name].shape {
                Shape::Record(fields) => fields.iter().collect(),
                Shape::Choice(choices) => choices.iter().flat_map(|choice| &choice.fields).collect(),
            };
            let inner = used.iter().map(|field| field.kind.trim_start_matches("Vec<").trim_end_matches('>'));
            let parts_used = inner.filter(|kind| self.items.contains_key(*kind)).map(str::to_owned);
            todo.extend(parts_used.filter(|part| parts.insert(part.clone())));
        }
        parts
    }
}

fn fields(fields: &Fields, is_lenient: bool) -> Vec<Field> {
    let described = fields.iter().map(|field| {
        let options = serde(&field.attrs);
        let skips = options.iter().any(|option| ["default", "skip_serializing_if"].contains(&&*option.name));
        let renamed =
            options.into_iter().find(|option| option.name == "rename").and_then(|option| option.value);
        let kind = written(&field.ty);
        let inner = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>'));
        Field {
            name: renamed.unwrap_or_else(|| field.ident.as_ref().unwrap().to_string()),
            about: said(&field.attrs),
            is_optional: is_lenient || skips || inner.is_some(),
            kind: inner.unwrap_or(&kind).to_owned(),
        }
    });
    described.collect()
}

/// A type as the source writes it.
fn written(kind: &Type) -> String {
    let Type::Path(path) = kind else { panic!("a field is no plain type") };
    let last = path.path.segments.last().unwrap();
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return last.ident.to_string();
    };
    let [syn::GenericArgument::Type(inner)] = arguments.args.iter().collect::<Vec<_>>()[..] else {
        panic!("{} has other than one type in it", last.ident)
    };
    format!("{}<{}>", last.ident, written(inner))
}

/// The documentation, in one line.
fn said(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).map(|attribute| {
        let Meta::NameValue(MetaNameValue { value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }), .. }) =
            &attribute.meta
        else {
            panic!("documentation that is no text")
        };
        text.value().trim().to_owned()
    });
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Whether a type is part of what is stored: those say how strict their JSON is, or how its names are written.
fn is_stored(attributes: &[Attribute]) -> bool {
    !serde(attributes).is_empty()
}

/// An option for JSON.
struct JsonOption {
    name: String,
    value: Option<String>,
}

/// The options for JSON.
fn serde(attributes: &[Attribute]) -> Vec<JsonOption> {
    let lists = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    let options =
        lists.flat_map(|list| list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap());
    options
        .map(|option| {
            let value = match &option {
                Meta::NameValue(MetaNameValue {
                    value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }),
                    ..
                }) => Some(text.value()),
                _ => None,
            };
            JsonOption { name: option.path().get_ident().unwrap().to_string(), value }
        })
        .collect()
}

/// A choice as JSON has it: a text, or the member of an object that tells which of them it is.
fn named(variant: &str, tag: Option<&str>) -> String {
    let mut snake = String::new();
    for (place, letter) in variant.char_indices() {
        if letter.is_uppercase() && place > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    tag.map_or(snake.clone(), |tag| format!("\"{tag}\": \"{snake}\""))
}
