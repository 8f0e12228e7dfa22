//! Names that a misspelt one may have meant.

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;

/// Below this likeness a name is another one altogether.
const LIKENESS_MIN: f64 = 0.5;

/// Returns `, did you mean …` for the candidate that is nearest to `name`; nothing where none is near.
#[expect(clippy::float_arithmetic, reason = "a likeness of words, no amount")]
pub(super) fn did_you_mean(name: &str, candidates: &[String]) -> String {
    let mut nearest: Option<(f64, &str)> = None;
    for candidate in candidates {
        let likeness = normalized_levenshtein(name, candidate);
        if likeness >= LIKENESS_MIN && nearest.is_none_or(|(best, _)| likeness > best) {
            nearest = Some((likeness, candidate));
        }
    }
    nearest.map(|(_, candidate)| format!(", did you mean `{candidate}`?")).unwrap_or_default()
}
