//! The limits of the gates, as `NAME=VALUE`.

use cambist_udfs::rate::gate::GateOptions;
use serde_json::{Map, Value};

use crate::error::{JobError, Result};

/// Reads limits of the gates; those that are not named keep their defaults.
///
/// # Errors
/// A usage error where a limit is not known, is no number or is no sensible one.
pub fn parse_limits(limits: &[String]) -> Result<GateOptions> {
    let mut members = Map::new();
    for limit in limits {
        let Some((name, value)) = limit.split_once('=') else {
            return Err(JobError::usage(format!(
                "--limit is `{limit}`, expected NAME=VALUE such as `cross_tolerance=0.03`"
            )));
        };
        let (name, value) = (name.trim(), value.trim());
        members.insert(name.to_owned(), to_value(name, value));
    }
    let refused = |error: &dyn std::fmt::Display| JobError::usage(format!("--limit: {error}"));
    let options: GateOptions =
        serde_json::from_value(Value::Object(members)).map_err(|error| refused(&error))?;
    options.validate().map_err(|error| refused(&error))?;
    Ok(options)
}

/// Decimals are read from their text, counts are numbers, codes a list.
fn to_value(name: &str, value: &str) -> Value {
    match name {
        "required" => value.split(',').map(str::trim).filter(|code| !code.is_empty()).collect(),
        "jump_ratio_max" | "cross_tolerance" => value.into(),
        _ => value.parse::<u64>().map_or_else(|_| value.into(), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(limits: &[&str]) -> Result<GateOptions> {
        parse_limits(&limits.iter().map(|limit| (*limit).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn limits_are_read_and_the_others_keep_their_defaults() {
        let options = parse(&["cross_tolerance=0.03", "required=EUR, gbp", "closed_days_max = 9"]).unwrap();
        assert_eq!(options.cross_tolerance.to_string(), "0.03");
        assert_eq!(options.required.iter().map(|code| code.as_str()).collect::<Vec<_>>(), ["EUR", "GBP"]);
        assert_eq!((options.closed_days_max, options.cross_age_days_max), (9, 5));
    }

    #[test]
    fn what_is_no_limit_is_a_usage_error() {
        let cases = [
            ("tolerance", "--limit is `tolerance`, expected NAME=VALUE such as `cross_tolerance=0.03`"),
            ("closed_days_max=-1", "expected u32"),
            ("tolerance=1", "unknown field `tolerance`, expected one of `jump_ratio_max`, `cross_tolerance`"),
            ("cross_tolerance=2", "`cross_tolerance` is `2`; expected a share above 0 and at most 1"),
            ("jump_ratio_max=a", "--limit: "),
        ];
        for (limit, expected) in cases {
            let error = parse(&[limit]).unwrap_err();
            assert_eq!(error.kind.exit_code(), 2);
            assert!(error.message.contains(expected), "{limit}: {error}");
        }
    }
}
