//! Takes a wrong value out of options, so that what stands behind it can be looked at.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Takes the innermost key whose value lies at `span` out of `table`. Whether there was one.
pub fn take_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && take_at(inner, span)
        {
            return true;
        }
    }
    let key = table.iter().find_map(|(key, value)| {
        let place = value.span();
        (place.start <= span.start && span.end <= place.end && !place.is_empty()).then(|| key.clone())
    });
    key.is_some_and(|key| table.remove(key.get_ref().as_ref()).is_some())
}

/// Where the value of `option` stands; `a.b` is `b` in the table `a`.
pub fn place_of(table: &DeTable<'_>, option: &str) -> Option<Range<usize>> {
    match option.split_once('.') {
        None => table.get(option).map(Spanned::span),
        Some((outer, inner)) => match table.get(outer)?.get_ref() {
            DeValue::Table(table) => place_of(table, inner),
            _ => None,
        },
    }
}
