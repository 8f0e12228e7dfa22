//! Names that are near to one that does not exist.

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;

/// Below this likeness a name is another one altogether; 1 is the same name.
const LIKENESS_MIN: f64 = 0.5;

/// Nobody mistypes a longer name, and to compare takes as long as the product of both lengths.
const WANTED_BYTES_MAX: usize = 128;

/// So many are told.
const TOLD_MAX: usize = 3;

/// Returns the names that may have been meant by `wanted`, the nearest first; none where it is too long for a
/// slip of the hand.
pub(crate) fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if wanted.len() > WANTED_BYTES_MAX {
        return Vec::new();
    }
    let folded = wanted.to_lowercase();
    let mut found: Vec<(f64, &str)> = names
        .into_iter()
        .filter(|name| name.len() <= WANTED_BYTES_MAX)
        .map(|name| (normalized_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    found.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    found.dedup();
    found.into_iter().take(TOLD_MAX).map(|(_, name)| name).collect()
}

/// Returns a hint that names what may have been meant by `wanted`; else what there is, where that is little.
pub(crate) fn hint(wanted: &str, kind: &str, names: &[String]) -> Option<String> {
    let near = near(wanted, names.iter().map(String::as_str));
    if !near.is_empty() {
        return Some(format!("did you mean {}?", listed(near.into_iter())));
    }
    match names.len() {
        0 => None,
        1..=12 => Some(format!("the {kind} are {}", listed(names.iter().map(String::as_str)))),
        _ => None,
    }
}

/// Returns `, did you mean …` for the name that is nearest to `wanted`; nothing where none is near.
pub(crate) fn did_you_mean(wanted: &str, names: &[String]) -> String {
    let near = near(wanted, names.iter().map(String::as_str));
    near.first().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default()
}

/// Returns names in backticks.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first_whatever_their_case() {
        let names = ["orders", "order", "Ordres", "rates", "customers"];
        assert_eq!(near("ordes", names), ["Ordres", "orders", "order"]);
        assert_eq!(near("ORDERS", names), ["orders", "order", "Ordres"]);
        assert_eq!(near("invoices", names), Vec::<&str>::new());
    }

    #[test]
    fn long_names_are_near_to_nothing() {
        let long = "a".repeat(WANTED_BYTES_MAX);
        assert_eq!(near(&long, [long.as_str()]), [long.as_str()]);
        let longer = "a".repeat(WANTED_BYTES_MAX + 1);
        assert_eq!(near(&longer, [longer.as_str(), long.as_str()]), Vec::<&str>::new());
        assert_eq!(near(&long, [longer.as_str()]), Vec::<&str>::new());
    }

    #[test]
    fn a_hint_lists_what_there_is_where_nothing_is_near() {
        let names = ["a".repeat(9), "b".repeat(9)];
        assert_eq!(hint("x", "tables", &names).unwrap(), "the tables are `aaaaaaaaa`, `bbbbbbbbb`");
        assert_eq!(hint("x", "tables", &[]), None);
    }
}
