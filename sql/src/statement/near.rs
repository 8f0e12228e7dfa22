//! Names that are near to one that does not exist.

use datafusion::common::utils::datafusion_strsim::levenshtein;

/// So many are told.
const TOLD_MAX: usize = 3;

/// Returns the names that may have been meant by `wanted`, the nearest first.
pub(crate) fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = wanted.to_lowercase();
    let changes_max = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(changes, _)| *changes <= changes_max)
        .collect();
    found.sort_unstable();
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
        assert_eq!(near("ordes", names), ["order", "orders"]);
        assert_eq!(near("ORDERS", names), ["orders", "order", "Ordres"]);
        assert_eq!(near("invoices", names), Vec::<&str>::new());
    }

    #[test]
    fn a_hint_lists_what_there_is_where_nothing_is_near() {
        let names = ["a".repeat(9), "b".repeat(9)];
        assert_eq!(hint("x", "tables", &names).unwrap(), "the tables are `aaaaaaaaa`, `bbbbbbbbb`");
        assert_eq!(hint("x", "tables", &[]), None);
    }
}
