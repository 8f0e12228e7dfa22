//! Money in many currencies: exact amounts, exchange rates as they were published, and the conversion of
//! one by the other without an intermediate rounding.
//!
//! Two rings. The inner one is plain Rust without Arrow, I/O, clock or floating point: [`reason`],
//! [`decimal`], [`rounding`], [`currency`], [`rate`], [`convert`]. The outer one, `sql`, wraps it in
//! Arrow kernels and SQL functions and lists them in one registry.
//!
//! ```
//! use cambist_udfs::convert::Conversion;
//! use cambist_udfs::rounding::RoundingMode;
//!
//! // 99.99 EUR to JPY, which has no minor units: 99.99 * 163.06 / 1 = 16304.3694.
//! let (euro, yen) = ("1".parse()?, "163.06".parse()?);
//! let conversion = Conversion::new(euro, yen, 2, 0, RoundingMode::HalfEven);
//! assert_eq!(conversion.convert(9_999), Some(16_304));
//! # Ok::<(), cambist_udfs::decimal::DecimalError>(())
//! ```

pub mod reason;

pub mod decimal;

pub mod rounding;

pub mod currency;

pub mod rate;

pub mod convert;

pub mod sql;
