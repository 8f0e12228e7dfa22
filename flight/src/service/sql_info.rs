//! What clients ask before they build statements: abilities of the server, and its types.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SupportedSqlGrammar, XdbcDataType, XdbcDatetimeSubcode,
};

/// Words that a statement has and other databases have not.
const KEYWORDS: &[&str] = &["ANALYZE", "CALL", "EXPLAIN", "EXTERNAL", "ILIKE", "QUALIFY", "SHOW"];
const NUMERIC_FUNCTIONS: &[&str] = &["abs", "ceil", "floor", "round", "trunc", "fx_convert", "fx_rate"];
const STRING_FUNCTIONS: &[&str] =
    &["btrim", "character_length", "concat", "lower", "ltrim", "replace", "rtrim", "substr", "upper"];
const SYSTEM_FUNCTIONS: &[&str] = &["coalesce", "nullif"];
const DATE_FUNCTIONS: &[&str] =
    &["date_bin", "date_part", "date_trunc", "fx_rate_date", "now", "to_timestamp"];

/// Returns the abilities.
pub(super) fn sql_infos() -> SqlInfoDataBuilder {
    let mut infos = SqlInfoDataBuilder::new();
    infos.append(SqlInfo::FlightSqlServerName, "Cambist");
    infos.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    infos.append(SqlInfo::FlightSqlServerArrowVersion, "1.5");
    // Tables change by jobs alone.
    infos.append(SqlInfo::FlightSqlServerReadOnly, true);
    infos.append(SqlInfo::FlightSqlServerSql, true);
    infos.append(SqlInfo::FlightSqlServerSubstrait, false);
    infos.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    infos.append(SqlInfo::FlightSqlServerCancel, true);
    infos.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    infos.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    infos.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    infos.append(SqlInfo::SqlDdlCatalog, false);
    infos.append(SqlInfo::SqlDdlSchema, false);
    infos.append(SqlInfo::SqlDdlTable, true);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    infos.append(SqlInfo::SqlIdentifierCase, lower);
    infos.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let unknown = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    infos.append(SqlInfo::SqlQuotedIdentifierCase, unknown);
    infos.append(SqlInfo::SqlAllTablesAreSelectable, true);
    infos.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    infos.append(SqlInfo::SqlKeywords, KEYWORDS);
    infos.append(SqlInfo::SqlNumericFunctions, NUMERIC_FUNCTIONS);
    infos.append(SqlInfo::SqlStringFunctions, STRING_FUNCTIONS);
    infos.append(SqlInfo::SqlSystemFunctions, SYSTEM_FUNCTIONS);
    infos.append(SqlInfo::SqlDatetimeFunctions, DATE_FUNCTIONS);
    infos.append(SqlInfo::SqlSearchStringEscape, "\\");
    infos.append(SqlInfo::SqlExtraNameCharacters, "");
    infos.append(SqlInfo::SqlSupportsColumnAliasing, true);
    infos.append(SqlInfo::SqlNullPlusNullIsNull, true);
    infos.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    infos.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    infos.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    infos.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    infos.append(SqlInfo::SqlSupportedGroupBy, bits(&[SqlSupportedGroupBy::SqlGroupByUnrelated as i32]));
    infos.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    infos.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    let grammar = [SupportedSqlGrammar::SqlMinimumGrammar as i32, SupportedSqlGrammar::SqlCoreGrammar as i32];
    infos.append(SqlInfo::SqlSupportedGrammar, bits(&grammar));
    infos.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    let joins = SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32;
    infos.append(SqlInfo::SqlOuterJoinsSupportLevel, bits(&[joins]));
    infos.append(SqlInfo::SqlSchemaTerm, "schema");
    infos.append(SqlInfo::SqlProcedureTerm, "job");
    infos.append(SqlInfo::SqlCatalogTerm, "catalog");
    infos.append(SqlInfo::SqlCatalogAtStart, true);
    infos.append(SqlInfo::SqlSelectForUpdateSupported, false);
    infos.append(SqlInfo::SqlStoredProceduresSupported, true);
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
        SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
        SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
    ];
    infos.append(SqlInfo::SqlSupportedSubqueries, bits(&subqueries));
    infos.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32];
    infos.append(SqlInfo::SqlSupportedUnions, bits(&unions));
    infos.append(SqlInfo::SqlTransactionsSupported, false);
    infos.append(SqlInfo::SqlBatchUpdatesSupported, false);
    infos.append(SqlInfo::SqlSavepointsSupported, false);
    infos.append(SqlInfo::SqlNamedParametersSupported, true);
    infos
}

/// The protocol has sets of an enumeration's values as bits.
fn bits(values: &[i32]) -> i32 {
    values.iter().fold(0, |bits, value| bits | (1 << value))
}

/// A type as clients are told of it.
struct Type {
    name: &'static str,
    code: XdbcDataType,
    /// Digits of a number, characters of a text.
    size: i32,
    quote: Option<&'static str>,
    parameters: &'static [&'static str],
    scale_max: Option<i32>,
    radix: Option<i32>,
    subcode: Option<XdbcDatetimeSubcode>,
}

impl Type {
    const fn whole(name: &'static str, code: XdbcDataType, size: i32) -> Self {
        let (radix, scale_max) = (Some(10), Some(0));
        Self { name, code, size, quote: None, parameters: &[], scale_max, radix, subcode: None }
    }

    const fn quoted(name: &'static str, code: XdbcDataType, size: i32) -> Self {
        Self { quote: Some("'"), radix: None, scale_max: None, ..Self::whole(name, code, size) }
    }
}

const TYPES: [Type; 12] = [
    Type::whole("BOOLEAN", XdbcDataType::XdbcBit, 1),
    Type::whole("TINYINT", XdbcDataType::XdbcTinyint, 3),
    Type::whole("SMALLINT", XdbcDataType::XdbcSmallint, 5),
    Type::whole("INTEGER", XdbcDataType::XdbcInteger, 10),
    Type::whole("BIGINT", XdbcDataType::XdbcBigint, 19),
    Type { scale_max: None, ..Type::whole("REAL", XdbcDataType::XdbcReal, 7) },
    Type { scale_max: None, ..Type::whole("DOUBLE", XdbcDataType::XdbcDouble, 15) },
    Type {
        parameters: &["precision", "scale"],
        scale_max: Some(38),
        ..Type::whole("DECIMAL", XdbcDataType::XdbcDecimal, 38)
    },
    Type::quoted("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX),
    Type::quoted("VARBINARY", XdbcDataType::XdbcVarbinary, i32::MAX),
    Type {
        // The number 1, which ODBC calls the code of a date.
        subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        ..Type::quoted("DATE", XdbcDataType::XdbcDate, 10)
    },
    Type {
        subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        ..Type::quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp, 35)
    },
];

/// Returns the types.
pub(super) fn types() -> Result<XdbcTypeInfoData, FlightError> {
    let mut infos = XdbcTypeInfoDataBuilder::new();
    for of in &TYPES {
        let parameters = of.parameters.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let is_text = of.code == XdbcDataType::XdbcVarchar;
        infos.append(XdbcTypeInfo {
            type_name: of.name.to_owned(),
            data_type: of.code,
            column_size: Some(of.size),
            literal_prefix: of.quote.map(str::to_owned),
            literal_suffix: of.quote.map(str::to_owned),
            create_params: (!parameters.is_empty()).then_some(parameters),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: is_text,
            searchable: if is_text { Searchable::Full } else { Searchable::Basic },
            unsigned_attribute: of.radix.map(|_| false),
            fixed_prec_scale: of.scale_max.is_some(),
            auto_increment: Some(false),
            local_type_name: Some(of.name.to_owned()),
            minimum_scale: of.scale_max.map(|_| 0),
            maximum_scale: of.scale_max,
            sql_data_type: if of.subcode.is_some() { XdbcDataType::XdbcDatetime } else { of.code },
            datetime_subcode: of.subcode,
            num_prec_radix: of.radix,
            interval_precision: None,
        });
    }
    infos.build()
}
