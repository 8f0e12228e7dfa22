use std::collections::BTreeSet;

use arrow::util::pretty::pretty_format_batches;

use super::{batches, session, unbound_session};
use crate::sql::{FunctionKind, functions, reference_page};

const NAMES: [&str; 11] = [
    "fx_convert",
    "try_fx_convert",
    "fx_rate",
    "try_fx_rate",
    "fx_rate_date",
    "try_fx_rate_date",
    "money_round",
    "currency_minor_units",
    "currency_normalize",
    "parse_decimal",
    "money_sum",
];

#[test]
fn every_function_is_listed_and_registered() {
    let names: Vec<String> = functions().into_iter().map(|function| function.name).collect();
    assert_eq!(names, NAMES);
    for context in [session(), unbound_session()] {
        let state = context.state();
        let registered: BTreeSet<&str> = state
            .scalar_functions()
            .keys()
            .chain(state.aggregate_functions().keys())
            .map(String::as_str)
            .collect();
        assert!(NAMES.iter().all(|name| registered.contains(name)));
    }
}

#[test]
fn every_function_documents_itself() {
    for function in functions() {
        let arguments = function.doc.arguments.unwrap();
        for (name, text) in &arguments {
            assert!(
                function.signature.contains(name.as_str()) && !text.is_empty(),
                "{}: {name}",
                function.name
            );
        }
        for heading in ["Result", "Shape", "Nulls", "Rounding", "Errors", "Source"] {
            assert!(
                function.doc.description.contains(&format!("\n- **{heading}**: ")),
                "{}: {heading}",
                function.name
            );
        }
    }
    let convert = &functions()[0];
    assert_eq!(
        convert.signature,
        "fx_convert(amount, source_currency, event_date, target_currency [, mode [, scale]])"
    );
    assert_eq!((convert.kind, functions()[10].kind), (FunctionKind::Scalar, FunctionKind::Aggregate));
}

/// The examples of the documentation are run, over the rates of the tests.
#[test]
fn every_example_gives_the_output_it_shows() {
    for function in functions() {
        let example = function.doc.sql_example.unwrap();
        let example =
            example.strip_prefix("```sql\n> ").and_then(|example| example.strip_suffix("\n```")).unwrap();
        let (sql, output) = example.split_once('\n').unwrap();
        let found = pretty_format_batches(&batches(&session(), sql).unwrap()).unwrap().to_string();
        assert_eq!(found, output, "{sql}");
    }
}

#[test]
fn the_reference_page_holds_every_function_once() {
    let page = reference_page();
    for name in NAMES {
        assert_eq!(page.matches(&format!("\n## {name}\n")).count(), 1, "{name}");
        assert_eq!(page.matches(&format!("\n| [`{name}`](#{name}) | ")).count(), 1, "{name}");
    }
    assert!(!page.contains("\n\n\n"), "no two blank lines follow each other");
}

/// Functions are looked up in lower case even where other names stay as written.
#[test]
fn names_are_lower_case_and_found_in_any() {
    assert!(NAMES.iter().all(|name| name.to_lowercase() == *name));
    assert!(batches(&session(), "SELECT PARSE_DECIMAL('1')").is_ok());
}

/// Planning and printing a query must not print the rate book.
#[test]
fn a_function_s_debug_text_is_short() {
    let context = session();
    let function = context.state().scalar_functions().get("fx_convert").cloned().unwrap();
    assert!(format!("{function:?}").contains("SessionRates(2 snapshots)"));
}
