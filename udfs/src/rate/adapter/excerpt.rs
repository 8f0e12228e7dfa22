//! Words of a payload as reports show them: one line, of bounded length.

/// The longest excerpt of a figure or a code, in characters.
const EXCERPT_CHARS_MAX: usize = 80;
/// The longest excerpt of a provider's message, in characters: real ones have up to 200.
const MESSAGE_CHARS_MAX: usize = 300;

/// The beginning of `text` on one line.
pub(super) fn excerpt(text: &str) -> String {
    cut(text, EXCERPT_CHARS_MAX)
}

/// The beginning of a provider's message on one line.
pub(super) fn message_excerpt(text: &str) -> String {
    cut(text, MESSAGE_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut chars = text.trim().chars();
    let mut line: String =
        chars.by_ref().take(chars_max).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}
