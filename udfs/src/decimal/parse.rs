//! The reader of decimal texts: one pass in 64 bits for the numbers of real life, a second, careful
//! one for the long and the scientific.

use super::{Decimal, DecimalError, MANTISSA_LIMIT, MAX_SCALE, POWERS_OF_TEN};

/// As many digits as 64 bits always hold.
const FAST_DIGITS_MAX: usize = 18;

/// As many digits as 128 bits of a decimal column hold.
const DIGITS_MAX: usize = 38;

/// The digits that an exponent may have; more is no number that anyone wrote on purpose.
const EXPONENT_DIGITS_MAX: usize = 3;

#[inline]
pub(super) fn parse(text: &[u8]) -> Result<Decimal, DecimalError> {
    let text = text.trim_ascii();
    let (negative, digits) = split_sign(text);
    if let Some((mantissa, scale)) = parse_short(digits) {
        return Ok(Decimal { mantissa: signed(negative, u128::from(mantissa)), scale });
    }
    parse_long(text)
}

/// Reads plain digits with at most one point; nothing if there is anything else or too much of it.
#[inline]
fn parse_short(text: &[u8]) -> Option<(u64, u8)> {
    if text.len() > FAST_DIGITS_MAX + 1 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut point = None;
    for (position, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if *byte == b'.' && point.is_none() {
            point = Some(position);
        } else {
            return None;
        }
    }
    let digits = text.len() - usize::from(point.is_some());
    if digits == 0 || digits > FAST_DIGITS_MAX {
        return None;
    }
    let scale = point.map_or(0, |position| text.len() - 1 - position);
    Some((mantissa, u8::try_from(scale).ok()?))
}

#[cold]
fn parse_long(text: &[u8]) -> Result<Decimal, DecimalError> {
    let (negative, text) = split_sign(text);
    let (digits, exponent) = split_exponent(text)?;
    let (whole, decimals) = split_point(digits);
    if whole.is_empty() && decimals.is_empty() {
        return Err(DecimalError::NotNumeric);
    }
    if !whole.iter().chain(decimals).all(u8::is_ascii_digit) {
        return Err(DecimalError::NotNumeric);
    }
    let written = i64::try_from(decimals.len()).map_err(|_| DecimalError::ScaleExceeded)?;
    let (mantissa, scale) = fit(whole, decimals, written - exponent)?;
    Ok(Decimal { mantissa: signed(negative, mantissa), scale })
}

/// Brings digits with `scale` decimals (fewer than none: zeros to append) into range, without rounding.
fn fit(whole: &[u8], decimals: &[u8], mut scale: i64) -> Result<(u128, u8), DecimalError> {
    let leading = whole.iter().chain(decimals).take_while(|digit| **digit == b'0').count();
    let mut count = whole.len() + decimals.len() - leading;
    if count == 0 {
        return Ok((0, u8::try_from(scale.clamp(0, i64::from(MAX_SCALE))).unwrap_or(MAX_SCALE)));
    }
    for digit in decimals.iter().rev().chain(whole.iter().rev()) {
        let fits = scale <= i64::from(MAX_SCALE) && count <= DIGITS_MAX;
        if fits || scale <= 0 || *digit != b'0' {
            break;
        }
        count -= 1;
        scale -= 1;
    }
    if scale > i64::from(MAX_SCALE) {
        return Err(DecimalError::ScaleExceeded);
    }
    let zeros = usize::try_from(-scale).unwrap_or(0);
    if count + zeros > DIGITS_MAX {
        return Err(DecimalError::Overflow);
    }
    let mantissa = whole.iter().chain(decimals).skip(leading).take(count).fold(0_u128, |sum, digit| {
        // At most 38 digits follow one another here, so the sum stays below 10^38.
        sum * 10 + u128::from(digit - b'0')
    }) * POWERS_OF_TEN[zeros];
    debug_assert!(mantissa < MANTISSA_LIMIT);
    Ok((mantissa, u8::try_from(scale).unwrap_or(0)))
}

#[inline]
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn split_point(digits: &[u8]) -> (&[u8], &[u8]) {
    match digits.iter().position(|byte| *byte == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[]),
    }
}

fn split_exponent(text: &[u8]) -> Result<(&[u8], i64), DecimalError> {
    let Some(mark) = text.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return Ok((text, 0));
    };
    let (negative, digits) = split_sign(&text[mark + 1..]);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_number || digits.len() > EXPONENT_DIGITS_MAX {
        return Err(DecimalError::NotNumeric);
    }
    let exponent = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Ok((&text[..mark], if negative { -exponent } else { exponent }))
}

/// Puts the sign to a mantissa that is below 10^38 and so fits.
#[inline]
fn signed(negative: bool, mantissa: u128) -> i128 {
    let mantissa = mantissa.cast_signed();
    if negative { -mantissa } else { mantissa }
}
