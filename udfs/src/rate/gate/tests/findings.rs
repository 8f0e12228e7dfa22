use super::*;

#[test]
fn gates_are_written_by_their_names() {
    for gate in Gate::ALL {
        assert_eq!(serde_json::to_string(gate).unwrap(), format!("\"{gate}\""));
        assert_eq!(serde_json::from_str::<Gate>(&format!("\"{}\"", gate.name())).unwrap(), *gate);
    }
    assert_eq!(
        Gate::ALL.iter().map(|gate| gate.name()).collect::<std::collections::BTreeSet<_>>().len(),
        Gate::ALL.len()
    );
}

#[test]
fn findings_come_back_as_they_were_written() {
    let before = dollars(99, "NZD 2.2, RUB 31, VND 20000");
    let context = GateContext { predecessors: &[&before], ..ALONE };
    let findings =
        check(&dollars(100, "NZD 0.22, RUB 0.031, USD 2, VND 60000"), &context, &GateOptions::default());
    let texts: Vec<_> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        texts,
        [
            "whole snapshot: base_not_one: the base USD has the rate 2; expected 1",
            "NZD: power_of_ten: 0.22 per USD is about 10 times below 2.2 (openexchangerates of 1970-04-10)",
            "RUB: inversion: 0.031 per USD is about the reciprocal of 31 (openexchangerates of 1970-04-10)",
            "VND: jump: 60000 per USD is off by a factor of 3 from 20000 (openexchangerates of 1970-04-10); at most 1.5 is plausible",
        ]
    );
    let written = serde_json::to_string(&findings).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Finding>>(&written).unwrap(), findings);
    assert_eq!(Finding::REASON.code(), "RATE_SUSPECT");
}

#[test]
fn options_have_defaults_and_refuse_what_is_unknown() {
    let read = serde_json::from_str::<GateOptions>;
    assert_eq!(read("{}").unwrap(), GateOptions::default());
    let options = read(r#"{"jump_ratio_max": "2", "required": ["INR"]}"#).unwrap();
    assert_eq!((options.jump_ratio_max, options.required), ("2".parse().unwrap(), vec![code("INR")]));
    assert!(read(r#"{"jump_max": "2"}"#).is_err());
    let written = serde_json::to_string(&GateOptions::default()).unwrap();
    assert_eq!(read(&written).unwrap(), GateOptions::default());
}

#[test]
fn senseless_limits_are_refused() {
    let refusal = |change: fn(&mut GateOptions)| {
        let mut options = GateOptions::default();
        change(&mut options);
        options.validate().map_or_else(|error| error.to_string(), |()| String::new())
    };
    assert_eq!(refusal(|_| ()), "");
    assert_eq!(refusal(|options| options.jump_ratio_max = Decimal::ONE), "");
    assert_eq!(
        refusal(|options| options.jump_ratio_max = "0.99".parse().unwrap()),
        "`jump_ratio_max` is `0.99`; expected a ratio of 1 or more, such as 1.5"
    );
    assert_eq!(
        refusal(|options| options.cross_tolerance = "0".parse().unwrap()),
        "`cross_tolerance` is `0`; expected a share above 0 and at most 1, such as 0.05"
    );
    assert_eq!(
        refusal(|options| options.cross_tolerance = "5".parse().unwrap()),
        "`cross_tolerance` is `5`; expected a share above 0 and at most 1, such as 0.05"
    );
    assert_eq!(
        refusal(|options| options.coverage_permille_min = 1001),
        "`coverage_permille_min` is `1001`; expected 0 to 1000"
    );
}

// Limits that were not validated hold too much rather than too little, and never panic.
#[test]
fn limits_that_are_none_hold_every_change() {
    let options = GateOptions {
        jump_ratio_max: "-1".parse().unwrap(),
        cross_tolerance: "0".parse().unwrap(),
        ..GateOptions::default()
    };
    let (before, cross) = (dollars(99, "JPY 100, VND 1"), snapshot("fixer", "USD", 100, "INR 50, GBP 0.5"));
    let context = GateContext { predecessors: &[&before], cross: Some(&cross), ..ALONE };
    let rates = "GBP 0.5, INR 50.1, JPY 100.1, VND 1";
    assert_eq!(held(&dollars(100, rates), &context, &options), "INR cross_check, JPY jump");
}
