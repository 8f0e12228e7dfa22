//! What is requested of each provider. The URLs are those of the providers' own documentation.

use jiff::civil::{Date, date};

use super::*;
use crate::question::Wanted;
use crate::secret::ApiKey;

const TODAY: Date = date(2026, 10, 30);

fn requested(name: &str, question: Question, base: Option<&str>) -> Resource {
    let provider = find(name).unwrap();
    let base_url = provider.profile().base_url;
    provider.resource(&question, &Asking { base_url, base, today: TODAY })
}

fn span(first: Date, last: Date) -> Question {
    Question::Span(first, last)
}

#[test]
fn each_provider_is_asked_in_its_own_way() {
    let day = Question::Day(date(2024, 5, 1));
    let may = span(date(2024, 5, 1), date(2024, 5, 31));
    for (name, question, base, expected) in [
        ("openexchangerates", Question::Latest, None, "https://openexchangerates.org/api/latest.json"),
        ("openexchangerates", day, None, "https://openexchangerates.org/api/historical/2024-05-01.json"),
        (
            "openexchangerates",
            day,
            Some("EUR"),
            "https://openexchangerates.org/api/historical/2024-05-01.json?base=EUR",
        ),
        (
            "openexchangerates",
            may,
            Some("EUR"),
            "https://openexchangerates.org/api/time-series.json?start=2024-05-01&end=2024-05-31&base=EUR",
        ),
        ("currencylayer", Question::Latest, None, "https://api.currencylayer.com/live?access_key=***"),
        (
            "currencylayer",
            day,
            Some("GBP"),
            "https://api.currencylayer.com/historical?date=2024-05-01&source=GBP&access_key=***",
        ),
        (
            "exchangerate.host",
            may,
            None,
            "https://api.exchangerate.host/timeframe?start_date=2024-05-01&end_date=2024-05-31&access_key=***",
        ),
        ("frankfurter", Question::Latest, None, "https://api.frankfurter.dev/v1/latest"),
        ("frankfurter", day, Some("USD"), "https://api.frankfurter.dev/v1/2024-05-01?base=USD"),
        ("frankfurter", may, None, "https://api.frankfurter.dev/v1/2024-05-01..2024-05-31"),
        ("ecb", Question::Latest, None, "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"),
        ("ecb", day, None, "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.xml"),
        ("ecb", Question::Day(TODAY), None, "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"),
        (
            "ecb",
            Question::Day(date(2026, 10, 28)),
            None,
            "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml",
        ),
    ] {
        assert_eq!(requested(name, question, base).shown(), expected, "{name} {question}");
    }
}

#[test]
fn a_key_is_put_in_last_and_never_shown() {
    let key = ApiKey::parse("a1b2c3&d4=5").unwrap();
    let resource = requested("currencylayer", Question::Latest, None);
    let sent = resource.with_key(Some(&key)).unwrap();
    assert_eq!(sent.as_str(), "https://api.currencylayer.com/live?access_key=a1b2c3%26d4%3D5");
    assert!(!format!("{resource:?} {}", resource.shown()).contains("a1b2c3"));
    let by_header = requested("openexchangerates", Question::Latest, None);
    assert_eq!(by_header.with_key(Some(&key)).unwrap().as_str(), by_header.url);
    assert_eq!(by_header.header.unwrap().prefix, "Token ");
}

#[test]
fn a_template_is_filled() {
    let text = "https://rates.example/{year}/{month}/{day}?b={base}&apikey={key}&d={date}";
    let template = Template::parse(text, "fixer", None).unwrap();
    let asking = Asking { base_url: "", base: Some("EUR"), today: TODAY };
    let resource = template.resource(&Question::Day(date(2024, 5, 1)), &asking);
    assert_eq!(resource.shown(), "https://rates.example/2024/05/01?b=EUR&apikey=***&d=2024-05-01");
    assert_eq!(resource.file_name, "2024-05-01.json");
    assert_eq!(template.profile().shapes, ["fixer"]);
    assert!(template.has_key());
}

#[test]
fn a_template_that_is_none_is_refused_with_a_reason() {
    let message = |text: &str, shape: &str| Template::parse(text, shape, None).unwrap_err().to_string();
    assert_eq!(
        message("https://x.example/{datum}", "fixer"),
        "unknown placeholder `{datum}`, expected `{date}`, `{year}`, `{month}`, `{day}`, `{from}`, \
         `{until}`, `{base}`, `{key}`"
    );
    assert_eq!(
        message("https://x.example/{date", "fixer"),
        "a brace without its other, expected placeholders such as `{date}`"
    );
    assert!(
        message("https://x.example/{date}", "yaml").starts_with("unknown shape `yaml`, expected one of ")
    );
    let written = message("https://x.example/{date}?Access_Key=0123456789abcdef", "fixer");
    assert!(written.starts_with("the parameter `Access_Key` bears a value of its own"), "{written}");
    assert!(!written.contains("0123456789abcdef"));
    for (text, expected) in [
        ("http://x.example/{date}?k={key}", InvalidBaseUrl::KeyInTheClear("x.example".to_owned())),
        ("https://me:secret@x.example/{date}", InvalidBaseUrl::Credentials),
        ("ftp://x.example/{date}", InvalidBaseUrl::Scheme("ftp://x.example/date".to_owned())),
    ] {
        let error = Template::parse(text, "fixer", None).unwrap_err();
        assert_eq!(error, InvalidTemplate::Url(expected));
    }
    assert!(Template::parse("http://127.0.0.1:8080/{date}?k={key}", "fixer", None).is_ok());
    assert!(Template::parse("http://x.example/{date}", "fixer", None).is_ok());
    assert!(Template::parse("https://x.example/{date}", "fixer", Some("x-api-key")).unwrap().has_key());
    assert!(Template::parse("https://x.example/{date}", "fixer", Some("x api key")).is_err());
}

#[test]
fn a_template_is_fit_for_what_it_can_ask() {
    let day = date(2024, 5, 1);
    let range = |in_series| Wanted::Range { first: day, last: day, in_series, again: false };
    for (text, base, wanted, is_fit) in [
        ("https://x.example/latest", None, Wanted::Latest, true),
        ("https://x.example/latest", None, Wanted::Day(day), false),
        ("https://x.example/{date}", None, Wanted::Latest, false),
        ("https://x.example/{date}", None, range(false), true),
        ("https://x.example/{date}", None, range(true), false),
        ("https://x.example/{from}/{until}", None, range(true), true),
        ("https://x.example/{from}/{until}", None, range(false), false),
        ("https://x.example/{date}/{base}", None, Wanted::Day(day), false),
        ("https://x.example/{date}", Some("EUR"), Wanted::Day(day), false),
    ] {
        let template = Template::parse(text, "fixer", None).unwrap();
        assert_eq!(template.check(wanted, base).is_ok(), is_fit, "{text} {wanted:?}");
    }
}
