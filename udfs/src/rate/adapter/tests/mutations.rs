//! Whatever the bytes, reading ends in snapshots or a refusal; a payload that is cut short never gives a
//! figure that the whole one does not have.

use proptest::prelude::*;

use super::{read, snapshot_line};

const SAMPLES: [(&str, &str); 7] = [
    (
        "2011-12-01.json",
        r#"{"license":"l","timestamp":"1322697600","base":"USD","rates":{"INR":51.889999,"ZWD":0,"GBP":"0.63","X":NaN}}"#,
    ),
    (
        "series.json",
        r#"{"amount":10,"base":"EUR","rates":{"2023-01-02":{"USD":9.321},"2023-01-01":{"USD":9.3e0,"JPY":1311.2}}}"#,
    ),
    (
        "live.json",
        r#"{"success":true,"timestamp":1430870399,"date":"2015-05-05","source":"USD","quotes":{"USDINR":63.4,"USDUSD":1}}"#,
    ),
    ("usd.json", r#"{"date":"2025-12-06","usd":{"eur":0.8588,"usd":1}}"#),
    (
        "error.json",
        r#"{"success":false,"error":{"code":105,"type":"base_access","info":"é\u00e9\ud83d\ude00"}}"#,
    ),
    (
        "hist.csv",
        "Date,USD,JPY,BGN,\n2026-10-30,1.1172,175.68,N/A,\n2026-10-29,1.113,,1.9558,\n30 October 2025,1.1,2,3,\n",
    ),
    (
        "hist.xml",
        "<?xml version='1.0'?><g:Envelope xmlns:g='g' xmlns='http://www.ecb.int/vocabulary/2002-08-01/eurofxref'><Cube><Cube time='2019-11-29'><Cube currency='USD' rate='1.0982'/></Cube><Cube time='2019-11-28'><Cube currency='GBP' rate='0.85'/></Cube></Cube></g:Envelope>",
    ),
];

fn snapshot_lines(file_name: &str, bytes: &[u8]) -> Option<Vec<String>> {
    let admission = read(file_name, bytes).ok()?;
    Some(admission.snapshots.iter().map(snapshot_line).collect())
}

/// JSON and XML close what they open, so no part of them passes. A table may end after any whole row.
#[test]
fn document_cut_short_is_refused_or_gives_only_whole_days() {
    for (file_name, sample) in SAMPLES {
        let whole = snapshot_lines(file_name, sample.as_bytes()).unwrap_or_default();
        for length in 0..sample.len() {
            let Some(part) = snapshot_lines(file_name, &sample.as_bytes()[..length]) else {
                continue;
            };
            assert!(file_name.ends_with(".csv"), "{file_name} cut at {length} was accepted");
            assert!(part.iter().all(|line| whole.contains(line)), "{file_name} cut at {length}: {part:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_documents_never_panic(
        sample in 0..SAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 1..8),
    ) {
        let (file_name, text) = SAMPLES[sample];
        let mut bytes = text.as_bytes().to_vec();
        for (at, kind, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"\"{}[],:0-.eE<>/\n\\"[usize::from(byte) % 17]),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        accepted_snapshots_are_sound(file_name, &bytes)?;
    }

    #[test]
    fn any_bytes_under_any_name_never_panic(name in ".{0,24}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        accepted_snapshots_are_sound(&name, &bytes)?;
    }

    #[test]
    fn any_text_after_a_known_beginning_never_panics(sample in 0..SAMPLES.len(), tail in "\\PC{0,80}") {
        let (file_name, text) = SAMPLES[sample];
        let middle = text.floor_char_boundary(text.len() / 2);
        accepted_snapshots_are_sound(file_name, format!("{}{tail}", &text[..middle]).as_bytes())?;
    }
}

fn accepted_snapshots_are_sound(file_name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(admission) = read(file_name, bytes) else {
        return Ok(());
    };
    prop_assert!(!admission.snapshots.is_empty());
    prop_assert!(admission.snapshots.is_sorted_by(|one, other| one.rate_date < other.rate_date));
    for snapshot in &admission.snapshots {
        prop_assert!(!snapshot.rates.is_empty());
        prop_assert!(snapshot.rates.is_sorted_by(|one, other| one.0 < other.0));
        for (code, rate) in &snapshot.rates {
            prop_assert!(*code != snapshot.base);
            prop_assert!(rate.mantissa() > 0 && rate.scale() <= 18);
        }
    }
    Ok(())
}
