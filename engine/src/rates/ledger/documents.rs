//! Several JSON documents in one object, as Kafka Connect and Firehose deliver them: one a line, or one right
//! after the other; the last may be cut off.

use std::ops::Range;

/// Returns where each document of `text` lies; nothing unless it begins with an object of JSON.
///
/// Only strings and brackets are looked at. A document that breaks off ends where another one must begin: at
/// an object that stands where JSON allows no value, or at the end of a line inside of a string.
pub(super) fn split(text: &[u8]) -> Vec<Range<usize>> {
    let begin = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut documents = Vec::new();
    let mut at = next_visible(text, begin);
    if text.get(at) != Some(&b'{') {
        return documents;
    }
    while at < text.len() {
        let end = end_of(text, at);
        documents.push(at..end);
        at = next_visible(text, end);
    }
    documents
}

fn next_visible(text: &[u8], from: usize) -> usize {
    text.iter()
        .skip(from)
        .position(|byte| !byte.is_ascii_whitespace())
        .map_or(text.len(), |ahead| from + ahead)
}

/// Returns where the document that begins at `begin` ends.
fn end_of(text: &[u8], begin: usize) -> usize {
    let (mut depth, mut is_text, mut is_escaped, mut before) = (0_usize, false, false, b':');
    for (at, byte) in text.iter().copied().enumerate().skip(begin) {
        if is_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_text = false,
                b'\n' => return at,
                _ => {}
            }
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'"' => is_text = true,
            b'{' if !matches!(before, b':' | b',' | b'[') => return at,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        before = byte;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        split(text.as_bytes()).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn documents_are_told_apart_with_and_without_lines() {
        for (text, wanted) in [
            ("", vec![]),
            ("<html>{}", vec![]),
            ("[{},{}]", vec![]),
            ("{}", vec!["{}"]),
            (" {\"a\":[{},{\"b\":{}}]}\n", vec!["{\"a\":[{},{\"b\":{}}]}"]),
            ("{\"a\":1}{\"a\":2}", vec!["{\"a\":1}", "{\"a\":2}"]),
            ("{\"a\":1}\n\r\n{\"a\":2}\n", vec!["{\"a\":1}", "{\"a\":2}"]),
            ("\u{feff}{\"a\":\"}{\\\"\"}{}", vec!["{\"a\":\"}{\\\"\"}", "{}"]),
        ] {
            assert_eq!(parts(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_document_that_breaks_off_takes_no_whole_one_with_it() {
        for (text, wanted) in [
            ("{\"a\":1}{\"a\":", vec!["{\"a\":1}", "{\"a\":"]),
            ("{\"a\":1}{\"a\":\"x", vec!["{\"a\":1}", "{\"a\":\"x"]),
            ("{\"a\":{\"b\":1{\"a\":2}", vec!["{\"a\":{\"b\":1", "{\"a\":2}"]),
            ("{\"a\":\"x\n{\"a\":2}", vec!["{\"a\":\"x", "{\"a\":2}"]),
            ("{\"a\":1}garbage{\"a\":2}", vec!["{\"a\":1}", "garbage", "{\"a\":2}"]),
            ("{}}{}", vec!["{}", "}", "{}"]),
            ("{\"a\":\"\\", vec!["{\"a\":\"\\"]),
        ] {
            assert_eq!(parts(text), wanted, "{text}");
        }
    }
}
