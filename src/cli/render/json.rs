//! JSON as the server wrote it: one array with a line for each item, or just the lines.

/// The items of an array, from its beginning or going on with it.
#[must_use]
pub fn array_items<'a>(items: impl Iterator<Item = &'a str>, already_written: bool) -> String {
    let mut text = String::new();
    for (place, item) in items.enumerate() {
        text.push_str(if place == 0 && !already_written { "[\n" } else { ",\n" });
        text.push_str(item);
    }
    text
}

/// The array's end.
#[must_use]
pub const fn array_end(already_written: bool) -> &'static str {
    if already_written { "\n]\n" } else { "[]\n" }
}

/// A line for each item. Line breaks between tokens are no part of a value.
#[must_use]
pub fn lines<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.map(|item| item.replace(['\n', '\r'], " ") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_whole_however_many_pages_it_came_in() {
        let first = array_items(["1", "2"].into_iter(), false);
        let second = array_items(["3"].into_iter(), true);
        assert_eq!(first + &second + array_end(true), "[\n1,\n2,\n3\n]\n");
        assert_eq!(array_items([].into_iter(), false) + array_end(false), "[]\n");
    }

    #[test]
    fn a_line_holds_one_value() {
        assert_eq!(lines(["{\n\"a\":\"\\n\"}", "2"].into_iter()), "{ \"a\":\"\\n\"}\n2\n");
    }
}
