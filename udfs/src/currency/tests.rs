use super::*;
use crate::rate::RateDate;
use crate::reason::RowReason;

fn code(text: &str) -> CurrencyCode {
    CurrencyCode::parse(text).unwrap()
}

fn date(text: &str) -> RateDate {
    let epoch = jiff::civil::date(1970, 1, 1);
    RateDate((text.parse::<jiff::civil::Date>().unwrap() - epoch).get_days())
}

fn iso(text: &str) -> &'static CurrencyEntry {
    CurrencyTable::iso().entry(CurrencyTable::iso().find(code(text)).unwrap())
}

fn check(text: &str, expected: Result<(&str, bool), RowReason>) {
    let table = CurrencyTable::iso();
    let parsed = table.parse(text.as_bytes());
    let parsed = parsed.map(|parsed| (table.code(parsed.currency).to_string(), parsed.hundredths));
    assert_eq!(parsed, expected.map(|(code, hundredths)| (code.to_owned(), hundredths)), "`{text}`");
}

#[test]
fn codes_are_trimmed_and_upper_cased() {
    check("EUR", Ok(("EUR", false)));
    check(" eur\t", Ok(("EUR", false)));
    check("gBP", Ok(("GBP", false)));
    check("inr\r\n", Ok(("INR", false)));
}

#[test]
fn names_of_hundredths_are_case_sensitive_and_come_first() {
    for (text, code) in
        [("GBX", "GBP"), ("GBp", "GBP"), ("ZAc", "ZAR"), ("ZAC", "ZAR"), ("ILA", "ILS"), ("ILa", "ILS")]
    {
        check(text, Ok((code, true)));
        check(&format!(" {text} "), Ok((code, true)));
    }
    check("gbp", Ok(("GBP", false)));
    check("gbx", Err(RowReason::CurrencyUnknown));
    check("zac", Err(RowReason::CurrencyUnknown));
    check("ila", Err(RowReason::CurrencyUnknown));
}

#[test]
fn what_is_no_currency_has_its_reason() {
    for text in ["", "  ", "\t\r\n"] {
        check(text, Err(RowReason::CurrencyMissing));
    }
    for text in ["XXX", "xts", " XTS "] {
        check(text, Err(RowReason::CurrencyNotMoney));
    }
    for text in [
        "CNH",
        "BTC",
        "$",
        "£",
        "€",
        "US$",
        "euro",
        "U",
        "USDOLLARSANDCENTS",
        "US D",
        "E R",
        "{UR",
        "@UR",
        "ÄÖÜ",
        "null",
    ] {
        check(text, Err(RowReason::CurrencyUnknown));
    }
    assert_eq!(CurrencyTable::iso().parse(&[0xff, 0xfe, 0xfd]), Err(RowReason::CurrencyUnknown));
}

#[test]
fn minor_units_are_those_of_list_one() {
    let expected = [
        ("JPY", Some(0)),
        ("INR", Some(2)),
        ("USD", Some(2)),
        ("KWD", Some(3)),
        ("CLF", Some(4)),
        ("UYW", Some(4)),
        ("ISK", Some(0)),
        ("IQD", Some(3)),
        ("XAU", None),
        ("XDR", None),
        ("DEM", None),
        ("BGN", Some(2)),
        ("CUC", Some(2)),
    ];
    for (text, minor_units) in expected {
        assert_eq!(iso(text).minor_units, minor_units, "{text}");
    }
}

// 178 codes in list one with XXX and XTS, 135 in list three of which 8 are in both; two of our own.
#[test]
fn the_lists_are_whole() {
    let active =
        CurrencyTable::iso().entries().iter().filter(|entry| entry.status == CurrencyStatus::Active).count();
    assert_eq!(active, 178 - 2);
    assert_eq!(CurrencyTable::iso().entries().len() - active, 135 - 8 + 2);
    assert_eq!((EDITION, HISTORIC_EDITION), ("2026-01-01", "2024-09-01"));
    for (currency, entry) in CurrencyTable::iso().iter() {
        assert_eq!(CurrencyTable::iso().find(entry.code), Some(currency));
        assert!(!entry.name.is_empty());
    }
}

#[test]
fn a_withdrawn_currency_is_valid_through_the_end_of_its_month_or_year() {
    let last_days = [
        ("DEM", "2002-03-31"), // 2002-03
        ("CSD", "2006-10-31"), // 2006-10
        ("HRK", "2023-01-31"), // 2023-01
        ("BGN", "2025-12-31"),
        ("CUC", "2020-12-31"),
        ("LVR", "1994-12-31"), // 1994-12
        ("RHD", "1981-12-31"), // 1978 to 1981
        ("DDM", "1990-09-30"), // 1990-07 to 1990-09
        ("VNC", "1990-12-31"), // 1989-1990
        ("LUC", "1990-03-31"), // 1990-03
    ];
    for (text, last) in last_days {
        let last = date(last);
        assert!(iso(text).valid_on(last), "{text}");
        assert!(!iso(text).valid_on(RateDate(last.0 + 1)), "{text}");
    }
}

#[test]
fn a_code_of_both_lists_is_active() {
    for text in ["EUR", "IDR", "MWK", "PEN", "RON", "SDG", "SZL", "TRY"] {
        assert_eq!(iso(text).status, CurrencyStatus::Active, "{text}");
        assert!(iso(text).valid_on(date("2100-01-01")));
    }
}

#[test]
fn a_book_adds_the_codes_that_iso_lacks() {
    let table = CurrencyTable::with_extra(["BTC", "USD", "CNH", "USDT", "1INCH", "XXX", "BTC"].map(code));
    let extra: Vec<_> = table.entries()[CurrencyTable::iso().entries().len()..]
        .iter()
        .map(|entry| entry.code.to_string())
        .collect();
    assert_eq!(extra, ["1INCH", "BTC", "CNH", "USDT"]);
    for text in ["btc", " USDT ", "1inch"] {
        let entry = table.entry(table.parse(text.as_bytes()).unwrap().currency);
        assert_eq!((entry.status, entry.minor_units), (CurrencyStatus::FromBook, None));
        assert!(entry.valid_on(date("1900-01-01")));
    }
    assert_eq!(table.parse(b"XXX"), Err(RowReason::CurrencyNotMoney));
    assert_eq!(table.find(code("EUR")), CurrencyTable::iso().find(code("EUR")));
}

#[test]
fn codes_order_as_text() {
    let mut codes = ["USDT", "USD", "AB", "EUR", "A_B", "USDC"].map(code);
    codes.sort();
    assert_eq!(codes.map(|code| code.to_string()), ["AB", "A_B", "EUR", "USD", "USDC", "USDT"]);
}

#[test]
fn codes_of_another_form_are_none() {
    for text in ["", "E", "ABCDEFGHIJKLM", "A-B", "ÄB", "A B", "\0\0"] {
        assert_eq!(CurrencyCode::parse(text), None, "`{text}`");
    }
    assert_eq!(code("abcdefghijkl").as_str(), "ABCDEFGHIJKL");
    assert_eq!(format!("{:?}", code("usd")), "CurrencyCode(USD)");
}

#[test]
fn the_generated_tables_are_those_of_the_lists() {
    let Ok(shared) = std::env::var("CAMBIST_DATA") else {
        println!("skipped: CAMBIST_DATA, the folder of the shared test data, is not set");
        return;
    };
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let made = std::process::Command::new("python3")
        .arg(format!("{root}/scripts/iso_4217.py"))
        .arg(format!("{shared}/iso/list_one_20260101.xml"))
        .arg(format!("{shared}/iso/list_three_historic_20240901.xml"))
        .output();
    let Ok(made) = made else {
        println!("skipped: there is no python3");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let kept = std::fs::read(format!("{root}/src/currency/iso_4217.rs")).unwrap();
    assert_eq!(String::from_utf8(made.stdout), String::from_utf8(kept));
}
